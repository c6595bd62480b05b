/**
 * Interventions multiplied into weights: the same model without stages, as a checkpoint that any engine runs. All
 * arithmetic is in float64; one tensor at a time is held.
 */
import { SluiceError } from "../errors.ts";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import type { Graph, MatrixRef, VectorRef } from "../graph/graph.ts";
import {
  type BakePlan,
  type EmbedFold,
  type KeptStage,
  type LinearFold,
  type NormFold,
  planBake,
} from "./bake-plan.ts";
import { readFloat64, storeFloat64 } from "./float64-tensor.ts";
import { add, addsConstant, applyMaps, type RowMap } from "./row-map.ts";
import type { Composition } from "./stage.ts";

export interface BakeOptions {
  /**
   * How changed tensors are stored. `f32` (default): as float32, so that the baked model computes what the live one
   * does; `stored`: in their own dtype, which rounds 16-bit weights once more.
   */
  readonly dtype?: "f32" | "stored";
}

/** A tensor of the baked model, made when it is read. */
export interface BakedTensor extends TensorInfo {
  readonly changed: boolean;
  /** Its bytes, in order. */
  read(signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface Baked {
  readonly tensors: ReadonlyMap<string, BakedTensor>;
  /** Fields of config.json that must be set for these tensors to be read. */
  readonly config: Readonly<Record<string, boolean>>;
  /** What could not be folded, and why: still to be run live. */
  readonly kept: readonly KeptStage[];
}

/** Bytes of an unchanged tensor that are passed on together. */
const COPY_BYTES = 16 << 20;

const HEAD = "lm_head.weight";

/**
 * @param graph of the plain model
 * @param composition checked against that model, at the strengths and alphas to be baked
 */
export function bake(graph: Graph, checkpoint: Checkpoint, composition: Composition, options: BakeOptions = {}): Baked {
  return new Baker(graph, checkpoint, planBake(graph, composition), options.dtype ?? "f32").run();
}

/** Computes a changed tensor's values. */
type Produce = (signal: AbortSignal | undefined) => Promise<Float64Array>;

class Baker {
  readonly #graph: Graph;
  readonly #checkpoint: Checkpoint;
  readonly #plan: BakePlan;
  readonly #dtype: "f32" | "stored";
  readonly #tensors = new Map<string, BakedTensor>();
  readonly #config: Record<string, boolean> = {};

  constructor(graph: Graph, checkpoint: Checkpoint, plan: BakePlan, dtype: "f32" | "stored") {
    this.#graph = graph;
    this.#checkpoint = checkpoint;
    this.#plan = plan;
    this.#dtype = dtype;
  }

  run(): Baked {
    for (const info of this.#checkpoint.tensors.values()) this.#copy(info.name, info);
    for (const fold of this.#plan.linears) this.#linear(fold);
    for (const fold of this.#plan.norms) this.#norm(fold);
    if (this.#plan.embed) this.#embed(this.#plan.embed);
    return { tensors: this.#tensors, config: this.#config, kept: this.#plan.kept };
  }

  #linear({ weight, bias, inputs, outputs }: LinearFold): void {
    const width = weight.inputs;
    // What is done to the input becomes one factor and one addend for each row of the weights.
    const gain = new Float64Array(width).fill(1);
    const shift = new Float64Array(width);
    for (const map of inputs) {
      applyMaps(shift, [map], true);
      applyMaps(gain, [map], false);
    }
    const scaled = inputs.some((map) => map.kind === "scale" && map.gain);
    if (scaled || outputs.some((map) => map.kind === "low_rank" || map.gain)) {
      this.#change(weight.tensor, (signal) => this.#mapMatrix(weight, gain, outputs, signal));
    }
    const shifted = shift.some((value) => value !== 0);
    if (!bias && !shifted && !outputs.some(addsConstant)) return;
    const name = bias?.tensor ?? this.#addBiases(weight.tensor);
    this.#change(
      name,
      async (signal) => {
        const row = bias ? await readFloat64(this.#checkpoint, bias.tensor, signal) : new Float64Array(weight.outputs);
        if (shifted) add(row, await this.#times(shift, weight, signal));
        applyMaps(row, outputs, true);
        return row;
      },
      { dtype: this.#checkpoint.tensors.get(weight.tensor)?.dtype ?? "F32", shape: [weight.outputs] },
    );
  }

  /** diag(gain)·W, each row then mapped. */
  async #mapMatrix(
    weight: MatrixRef,
    gain: Float64Array | null,
    maps: readonly RowMap[],
    signal: AbortSignal | undefined,
    constants = false,
  ): Promise<Float64Array> {
    const matrix = await readFloat64(this.#checkpoint, weight.tensor, signal);
    // A "row" is all outputs of one input: adjacent if the tensor is stored transposed, else a column.
    const step = weight.transposed ? 1 : weight.inputs;
    const row = new Float64Array(weight.outputs);
    for (let input = 0; input < weight.inputs; input++) {
      const first = weight.transposed ? input * weight.outputs : input;
      const factor = gain?.[input] ?? 1;
      for (let j = 0; j < row.length; j++) row[j] = factor * (matrix[first + j * step] as number);
      applyMaps(row, maps, constants);
      for (let j = 0; j < row.length; j++) matrix[first + j * step] = row[j] as number;
    }
    return matrix;
  }

  /** row·W */
  async #times(row: Float64Array, weight: MatrixRef, signal: AbortSignal | undefined): Promise<Float64Array> {
    const matrix = await readFloat64(this.#checkpoint, weight.tensor, signal);
    const product = new Float64Array(weight.outputs);
    const [inputStep, outputStep] = weight.transposed ? [weight.outputs, 1] : [1, weight.inputs];
    for (let i = 0; i < weight.inputs; i++) {
      const factor = row[i] as number;
      if (factor === 0) continue;
      for (let j = 0; j < product.length; j++) {
        product[j] = (product[j] as number) + factor * (matrix[i * inputStep + j * outputStep] as number);
      }
    }
    return product;
  }

  /**
   * A Llama without biases gets them all, zeros but for those that are needed: config.json has one switch for the
   * attention's and one for the MLP's.
   */
  #addBiases(weight: string): string {
    const attention = weight.includes(".self_attn.");
    this.#config[attention ? "attention_bias" : "mlp_bias"] = true;
    for (const node of this.#graph.nodes) {
      // The head has no site, and no bias either.
      if (node.op !== "linear" || node.out.sites.length === 0) continue;
      const { tensor, outputs } = node.weight;
      const name = biasOf(tensor);
      if (tensor.includes(".self_attn.") !== attention || this.#tensors.get(name)?.changed) continue;
      const dtype = this.#checkpoint.tensors.get(tensor)?.dtype ?? "F32";
      this.#change(name, async () => new Float64Array(outputs), { dtype, shape: [outputs] });
    }
    return biasOf(weight);
  }

  #norm({ gain, bias, maps }: NormFold): void {
    this.#changeVector(gain, maps, false);
    if (bias) this.#changeVector(bias, maps, true);
  }

  #changeVector({ tensor }: VectorRef, maps: readonly RowMap[], constants: boolean): void {
    this.#change(tensor, async (signal) => {
      const row = await readFloat64(this.#checkpoint, tensor, signal);
      applyMaps(row, maps, constants);
      return row;
    });
  }

  /** Token and position rows are added: both are multiplied, and the positions take what is added, if there are any. */
  #embed({ tokens, positions, maps }: EmbedFold): void {
    const multiplies = maps.some((map) => map.kind === "low_rank" || map.gain);
    if (multiplies || !positions) {
      // The head keeps the table as it was.
      if (this.#graph.config.tie_word_embeddings) {
        if (tokens.tensor === HEAD) {
          throw new SluiceError("usage", `The embedding is stored as ${HEAD} alone, which is the head too`, {
            hint: "Save the model anew with transformers, which stores the embedding under its own name.",
          });
        }
        this.#config["tie_word_embeddings"] = false;
        const table = this.#checkpoint.tensors.get(tokens.tensor);
        if (table) this.#copy(HEAD, table);
      }
      this.#change(tokens.tensor, (signal) => this.#mapTable(tokens, maps, positions === undefined, signal));
    }
    if (positions) this.#change(positions.tensor, (signal) => this.#mapTable(positions, maps, true, signal));
  }

  /** Every row of an embedding table, mapped. */
  async #mapTable(table: MatrixRef, maps: readonly RowMap[], constants: boolean, signal: AbortSignal | undefined) {
    const rows = await readFloat64(this.#checkpoint, table.tensor, signal);
    for (let row = 0; row < table.outputs; row++) {
      applyMaps(rows.subarray(row * table.inputs, (row + 1) * table.inputs), maps, constants);
    }
    return rows;
  }

  #copy(name: string, info: TensorInfo): void {
    const checkpoint = this.#checkpoint;
    this.#tensors.set(name, {
      ...info,
      name,
      changed: false,
      async *read(signal) {
        for (let begin = 0; begin < info.byteLength; begin += COPY_BYTES) {
          yield checkpoint.read(info.name, begin, Math.min(info.byteLength, begin + COPY_BYTES), signal);
        }
      },
    });
  }

  /** @param made dtype and shape of a tensor that the checkpoint does not have */
  #change(name: string, produce: Produce, made?: Pick<TensorInfo, "dtype" | "shape">): void {
    const { dtype: stored = "F32", shape = [] } = this.#checkpoint.tensors.get(name) ?? made ?? {};
    const dtype = this.#dtype === "f32" ? "F32" : stored;
    const count = shape.reduce((product, size) => product * size, 1);
    this.#tensors.set(name, {
      name,
      dtype,
      shape,
      byteLength: count * (dtype === "F32" ? 4 : 2),
      changed: true,
      async *read(signal) {
        yield storeFloat64(await produce(signal), dtype, name);
      },
    });
  }
}

function biasOf(weight: string): string {
  return weight.replace(/\.weight$/, ".bias");
}
