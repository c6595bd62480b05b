/**
 * A model's tensors as MLX stores them quantised, computed as they are read, so that MLX runs the result too: mlx-lm's names,
 * packed words, scales and biases, and the description in config.json.
 */
import { quantizeGroup } from "../formats/affine-group.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "../formats/half.ts";
import type { MlxCoding } from "../formats/mlx.ts";
import { QuantizationLoss } from "../formats/quantized-block.ts";
import { packStrips, stripBytes } from "../formats/strips.ts";
import { type Graph, type MatrixRef, tensorsOf } from "../graph/graph.ts";
import { namePrefix } from "./build.ts";
import { OUTPUTS_FIRST } from "./gpt2.ts";
import { copied, matricesOf, type QuantizedTensor, type QuantizedTensors } from "./quantize.ts";

/** Inputs that share a scale: MLX's default, or the smaller groups that it has if the inputs are not a multiple. */
const GROUPS = [64, 32] as const;

/** The prefix of all names in mlx-lm, except the head's. */
const PREFIX = OUTPUTS_FIRST;

/**
 * Quantises linear weights and the token embedding; what MLX cannot group, positions, norms and biases stay as they are.
 * Tensors that the graph does not name are left out, since mlx-lm refuses them.
 * @param graph of the model with float weights
 */
export function quantizeToMlx(graph: Graph, checkpoint: Checkpoint, bits: 4 | 8): QuantizedTensors {
  const matrices = matricesOf(graph);
  const used = tensorsOf(graph);
  const prefix = namePrefix(graph.config, checkpoint);
  const errors = new Map<string, QuantizationLoss>();
  const tensors: QuantizedTensor[] = [];
  const exceptions: [path: string, coding: Record<string, number>][] = [];
  for (const tensor of checkpoint.tensors.values()) {
    if (!used.has(tensor.name)) continue;
    const name = mlxName(tensor.name, prefix);
    const ref = matrices.get(tensor.name);
    const group = ref && GROUPS.find((size) => ref.inputs % size === 0);
    if (ref && group) {
      if (group !== GROUPS[0]) exceptions.push([name.replace(/\.weight$/, ""), { group_size: group, bits }]);
      tensors.push(...new MlxMatrix(checkpoint, ref, name, { bits, group }, errors).tensors());
    } else if (ref?.transposed) tensors.push(outputsFirst(checkpoint, ref, name));
    else tensors.push({ ...tensor, name, read: (signal) => copied(checkpoint, tensor, signal) });
  }
  const quantization = { group_size: GROUPS[0], bits, mode: "affine", ...Object.fromEntries(exceptions) };
  const { architecture, tie_word_embeddings, max_position_embeddings } = graph.config;
  return {
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    config: {
      quantization,
      quantization_config: quantization,
      tie_word_embeddings,
      // mlx-lm requires it.
      ...(architecture === "gpt2" && { n_ctx: max_position_embeddings }),
    },
    metadata: { format: "mlx" },
    errors,
  };
}

function mlxName(name: string, prefix: string): string {
  if (name.startsWith("lm_head.")) return name;
  return `${PREFIX}${name.slice(prefix.length)}`;
}

/** The three tensors that a matrix becomes. Whatever is read first, its weights are read once. */
class MlxMatrix {
  readonly #checkpoint: Checkpoint;
  readonly #ref: MatrixRef;
  readonly #name: string;
  readonly #coding: MlxCoding;
  readonly #errors: Map<string, QuantizationLoss>;
  readonly #type: "F16" | "BF16";
  /** Scales and biases of the last reading, until they were read too. */
  #found: { readonly scales: Uint16Array; readonly biases: Uint16Array } | undefined;
  readonly #read = new Set<string>();

  constructor(
    checkpoint: Checkpoint,
    ref: MatrixRef,
    name: string,
    coding: MlxCoding,
    errors: Map<string, QuantizationLoss>,
  ) {
    this.#checkpoint = checkpoint;
    this.#ref = ref;
    this.#name = name;
    this.#coding = coding;
    this.#errors = errors;
    this.#type = checkpoint.tensors.get(ref.tensor)?.dtype === "BF16" ? "BF16" : "F16";
  }

  tensors(): readonly QuantizedTensor[] {
    const { tensorOutputs: outputs, inputs } = this.#ref;
    const { bits, group } = this.#coding;
    const path = this.#name.replace(/\.weight$/, "");
    const words = (inputs * bits) / 32;
    const groups = inputs / group;
    const small = { dtype: this.#type, shape: [outputs, groups], byteLength: outputs * groups * 2 };
    return [
      {
        name: this.#name,
        dtype: "U32",
        shape: [outputs, words],
        byteLength: outputs * words * 4,
        read: (signal) => this.#codes(signal),
      },
      { ...small, name: `${path}.scales`, read: (signal) => this.#smallOnes("scales", signal) },
      { ...small, name: `${path}.biases`, read: (signal) => this.#smallOnes("biases", signal) },
    ];
  }

  async *#smallOnes(which: "scales" | "biases", signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    if (!this.#found) for await (const _ of this.#codes(signal));
    const values = this.#found?.[which];
    if (!values) throw new Error(`${this.#name} was read without its ${which}`);
    yield new Uint8Array(values.buffer);
    if (this.#read.add(which).size === 2) this.#found = undefined;
  }

  /** Packed words, chunk by chunk; each is overwritten by the next. */
  async *#codes(signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    const { tensor, transposed, tensorOutputs, inputs } = this.#ref;
    const { bits, group } = this.#coding;
    const groups = inputs / group;
    const isBf16 = this.#type === "BF16";
    const bitsOf = isBf16 ? f32ToBf16 : f32ToF16;
    const widened = isBf16 ? bf16ToF32 : f16ToF32;
    const rounded = (value: number): number => widened(bitsOf(value));
    const error = new QuantizationLoss();
    this.#errors.set(tensor, error);
    this.#read.clear();
    const scales = new Uint16Array(tensorOutputs * groups);
    const biases = new Uint16Array(tensorOutputs * groups);
    const values = new Float64Array(group);
    const codes = new Uint8Array(group);
    const rows = [{ tensor, transposed, tensorOutputs, first: 0, count: tensorOutputs }];
    const range = { firstStrip: 0, strips: Math.ceil(tensorOutputs / 4), dtype: "F32", signal } as const;
    const rowBytes = (inputs * bits) / 8;
    for await (const { offset, bytes } of packStrips(this.#checkpoint, { label: tensor, k: inputs, rows }, range)) {
      const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
      const first = (offset / stripBytes(inputs, "F32")) * 4;
      const count = Math.min(floats.length / inputs, tensorOutputs - first);
      const packed = new Uint8Array(count * rowBytes);
      for (let row = 0; row < count; row++) {
        for (let g = 0; g < groups; g++) {
          const begin = (row >> 2) * inputs * 4 + g * group * 4 + (row & 3);
          for (let i = 0; i < group; i++) values[i] = floats[begin + i * 4] as number;
          const found = quantizeGroup(values, bits, rounded, codes, tensor);
          error.addBlock(values, found.scale, codes, found.offset);
          scales[(first + row) * groups + g] = bitsOf(found.scale);
          biases[(first + row) * groups + g] = bitsOf(found.offset);
          pack(codes, bits, packed, row * rowBytes + (g * group * bits) / 8);
        }
      }
      yield packed;
    }
    this.#found = { scales, biases };
  }
}

/** Codes into little-endian words, the first in the lowest bits. */
function pack(codes: Uint8Array, bits: 4 | 8, target: Uint8Array, at: number): void {
  if (bits === 8) target.set(codes, at);
  else {
    for (let i = 0; i < codes.length; i += 2) {
      target[at + i / 2] = (codes[i] as number) | ((codes[i + 1] as number) << 4);
    }
  }
}

/** A float matrix that is stored `[inputs, outputs]`, turned. */
function outputsFirst(checkpoint: Checkpoint, ref: MatrixRef, name: string): QuantizedTensor {
  const { tensor, transposed, tensorOutputs, inputs } = ref;
  return {
    name,
    dtype: "F32",
    shape: [tensorOutputs, inputs],
    byteLength: tensorOutputs * inputs * 4,
    async *read(signal) {
      const rows = [{ tensor, transposed, tensorOutputs, first: 0, count: tensorOutputs }];
      const range = { firstStrip: 0, strips: Math.ceil(tensorOutputs / 4), dtype: "F32", signal } as const;
      const padded = Math.ceil(inputs / 4) * 4;
      for await (const { offset, bytes } of packStrips(checkpoint, { label: tensor, k: inputs, rows }, range)) {
        const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
        const first = (offset / stripBytes(inputs, "F32")) * 4;
        const count = Math.min(floats.length / padded, tensorOutputs - first);
        const turned = new Float32Array(count * inputs);
        for (let row = 0; row < count; row++) {
          const begin = (row >> 2) * padded * 4 + (row & 3);
          for (let i = 0; i < inputs; i++) turned[row * inputs + i] = floats[begin + i * 4] as number;
        }
        yield new Uint8Array(turned.buffer);
      }
    },
  };
}
