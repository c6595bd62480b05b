/** A checkpoint with adapters merged into it: what they change is computed as it is read, in float32. */
import { endsOf } from "../architectures/build.ts";
import { SluiceError } from "../errors.ts";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import { areFinite, nonFiniteTensor } from "../formats/finite.ts";
import { widen } from "../formats/half.ts";
import type { ModelConfig } from "../model-config.ts";
import { show, showText } from "../show.ts";
import type { AdaptedModule, Adapter } from "./lora.ts";
import { addProducts, type LowRank, transposed } from "./low-rank.ts";

const HEAD = "lm_head.weight";

/** Layers of GPT-2 that are stored with inputs first. */
const CONV1D = /(?:^|\.)c_(?:attn|proj|fc)$/;

/** What is presented as a tensor. */
interface Presented {
  readonly info: TensorInfo;
  /** The stored tensor that it begins with. */
  readonly stored: TensorInfo;
  readonly from: Checkpoint;
  /** Reads what adapters add to it. */
  readonly additions: readonly ((signal: AbortSignal | undefined) => Promise<LowRank>)[];
}

/**
 * Merges adapters into float weights, all of them added. Adapted tensors become float32; the others stay as they are
 * stored. A head that the model ties to its embedding is separated from it if an adapter changes one of the two.
 *
 * The result takes over the checkpoint: closing it closes that one. The adapters stay the caller's.
 * @throws SluiceError `bad_weights` for an adapter that does not fit the model, naming the tensor; `usage` for
 *   quantised weights
 */
export function withAdapters(base: Checkpoint, adapters: readonly Adapter[], config: ModelConfig): Checkpoint {
  const presented = new Map<string, Presented>();
  for (const adapter of adapters) {
    for (const [path, module] of adapter.modules) {
      adaptModule({ base, presented, adapter, config, path, module });
    }
  }
  separateHead(base, presented, config);
  return new AdaptedCheckpoint(base, presented);
}

interface Adapting {
  readonly base: Checkpoint;
  readonly presented: Map<string, Presented>;
  readonly adapter: Adapter;
  readonly config: ModelConfig;
  readonly path: string;
  readonly module: AdaptedModule;
}

function adaptModule(adapting: Adapting): void {
  const { presented, adapter, config, path, module } = adapting;
  const scale = adapter.scale * adapter.config.scaleOf(path);
  for (const part of ["weight", "bias"] as const) {
    const replacement = module[part];
    if (!replacement) continue;
    const { info, additions } = target(adapting, part);
    // With an adapted head or embedding, PEFT also saves the base layer, which the adapters then share.
    if (presented.has(info.name) && !replacement.name.includes(".base_layer.")) {
      throw misfit(adapter, replacement.name, "another adapter changes the same tensor");
    }
    const kept = additions.length > 0 ? asFloat32(replacement) : replacement;
    presented.set(info.name, {
      info: { ...kept, name: info.name },
      stored: replacement,
      from: adapter.checkpoint,
      additions,
    });
  }
  const isEmbedding = module.embeddingA !== undefined || module.embeddingB !== undefined;
  const a = isEmbedding ? module.embeddingA : module.A;
  const b = isEmbedding ? module.embeddingB : module.B;
  if (a && b) {
    // An embedding is stored with inputs, the tokens, first.
    const inputsFirst = isEmbedding || (config.architecture === "gpt2" && CONV1D.test(path));
    addTo(adapting, "weight", a, (shape) => productOf(adapting, a, b, scale, inputsFirst, shape));
  } else if (a || b) {
    throw misfit(adapter, (a ?? b)?.name ?? path, "its other half is missing");
  }
  const { biasB } = module;
  if (biasB) {
    addTo(adapting, "bias", biasB, (shape) => {
      if (biasB.shape.join() !== shape.join()) throw unfit(adapter, biasB, shape);
      return async (signal) => {
        const right = await floats(adapter.checkpoint, biasB, signal);
        return { rank: 1, columns: right.length, scale, left: Float32Array.of(1), right };
      };
    });
  }
}

/** Adds to the tensor of a module. @param addition for the shape of what it is added to */
function addTo(
  adapting: Adapting,
  part: "weight" | "bias",
  { name }: TensorInfo,
  addition: (shape: readonly number[]) => Presented["additions"][number],
): void {
  const { presented, adapter } = adapting;
  const current = target(adapting, part);
  const { dtype, shape } = current.stored;
  if (!["F32", "F16", "BF16"].includes(dtype)) {
    throw misfit(adapter, name, `the model's ${showText(current.info.name)} is stored as ${dtype}, not as floats`);
  }
  const info = asFloat32(current.info);
  presented.set(info.name, { ...current, info, additions: [...current.additions, addition(shape)] });
}

function asFloat32(info: TensorInfo): TensorInfo {
  return { ...info, dtype: "F32", byteLength: 4 * info.shape.reduce((a, b) => a * b, 1) };
}

/** What stands under a module's name now: what adapters have made of it, or what is stored. */
function target({ base, presented, adapter, config, path, module }: Adapting, part: "weight" | "bias"): Presented {
  const [, rest = path] = /^[^.]+\.(.+)$/.exec(path) ?? [];
  for (const spelling of [path, rest, `model.${path}`, `transformer.${path}`]) {
    const name = `${spelling}.${part}`;
    const found = presented.get(name) ?? asStored(base, name, name);
    if (found) return found;
  }
  // Of a head and an embedding that are one tensor, the file has one name.
  const ends = endsOf(config, base);
  const other =
    config.tie_word_embeddings && part === "weight" ? asStored(base, ends.embedding, `${path}.weight`) : null;
  if (other && (path === "lm_head" || ends.embedding === HEAD)) return other;
  const [tensor] = Object.values(module);
  const quantized = base.quantized?.size ? " as floats" : "";
  throw misfit(adapter, tensor?.name ?? path, `the model has no tensor ${showText(`${path}.${part}`)}${quantized}`);
}

function asStored(base: Checkpoint, stored: string, name: string): Presented | null {
  const info = base.tensors.get(stored);
  return info ? { info: { ...info, name }, stored: info, from: base, additions: [] } : null;
}

/** If an embedding that is also the head was changed, the head stays what it was, and the other way round. */
function separateHead(base: Checkpoint, presented: Map<string, Presented>, config: ModelConfig): void {
  if (!config.tie_word_embeddings || base.tensors.has(HEAD)) return;
  const { embedding } = endsOf(config, base);
  const unchanged = asStored(base, embedding, HEAD);
  if (presented.has(embedding) && !presented.has(HEAD) && unchanged) presented.set(HEAD, unchanged);
}

function productOf(
  { adapter, path }: Adapting,
  a: TensorInfo,
  b: TensorInfo,
  scale: number,
  inputsFirst: boolean,
  shape: readonly number[],
): Presented["additions"][number] {
  const [outputs = 0, inputs = 0] = inputsFirst ? [...shape].reverse() : shape;
  const rank = adapter.config.rankOf(path);
  for (const [tensor, fitting] of [
    [a, [rank, inputs]],
    [b, [outputs, rank]],
  ] as const) {
    if (shape.length !== 2 || tensor.shape.join() !== fitting.join()) throw unfit(adapter, tensor, fitting);
  }
  return async (signal) => {
    const [thin, tall] = [await floats(adapter.checkpoint, a, signal), await floats(adapter.checkpoint, b, signal)];
    return inputsFirst
      ? { rank, scale, columns: outputs, left: transposed(thin, rank, inputs), right: transposed(tall, outputs, rank) }
      : { rank, scale, columns: inputs, left: tall, right: thin };
  };
}

async function floats(from: Checkpoint, info: TensorInfo, signal: AbortSignal | undefined) {
  const values = widen(info.dtype, await from.read(info.name, 0, info.byteLength, signal));
  const error = areFinite(values) ? undefined : await nonFiniteTensor(from, info, signal);
  if (error) throw error;
  return values;
}

function unfit(adapter: Adapter, tensor: TensorInfo, fitting: readonly number[]): SluiceError {
  return misfit(
    adapter,
    tensor.name,
    `it has shape ${show(tensor.shape)}; the model and the rank imply ${show(fitting)}`,
  );
}

function misfit({ label }: Adapter, tensor: string, problem: string): SluiceError {
  return new SluiceError("bad_weights", `The adapter ${label} does not fit: ${showText(tensor)}: ${problem}`, {
    hint: "An adapter belongs to the model that base_model_name_or_path of its adapter_config.json names, with float weights.",
  });
}

class AdaptedCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly quantized?: NonNullable<Checkpoint["quantized"]>;
  readonly missing?: NonNullable<Checkpoint["missing"]>;
  readonly label?: string;
  readonly forwardOnly?: boolean;
  readonly readAhead?: NonNullable<Checkpoint["readAhead"]>;
  readonly #base: Checkpoint;
  readonly #presented: ReadonlyMap<string, Presented>;
  /** The products of the tensor that was read last: readers go through one tensor after another. */
  #last: { readonly name: string; readonly products: Promise<readonly LowRank[]> } | undefined;

  constructor(base: Checkpoint, presented: ReadonlyMap<string, Presented>) {
    const { quantized, missing, label, forwardOnly, readAhead } = base;
    this.#base = base;
    this.#presented = presented;
    this.tensors = new Map([...base.tensors, ...[...presented].map(([name, { info }]) => [name, info] as const)]);
    if (quantized) this.quantized = quantized;
    if (missing) this.missing = missing;
    if (label !== undefined) this.label = label;
    if (forwardOnly !== undefined) this.forwardOnly = forwardOnly;
    if (readAhead) {
      this.readAhead = (names, signal) => base.readAhead?.(new Set([...names].flatMap(this.#storedName)), signal);
    }
  }

  async read(name: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array> {
    const presented = this.#presented.get(name);
    if (!presented) return this.#base.read(name, begin, end, signal);
    const { stored, from, additions } = presented;
    if (additions.length === 0) return from.read(stored.name, begin, end, signal);
    const products = await this.#productsOf(name, additions, signal);
    const [first, last] = [Math.floor(begin / 4), Math.ceil(end / 4)];
    const size = stored.dtype === "F32" ? 4 : 2;
    // A copy, since stored bytes are not ours to change.
    const values = widen(stored.dtype, await from.read(stored.name, first * size, last * size, signal));
    addProducts(values, first, products);
    return new Uint8Array(values.buffer).slice(begin - first * 4, end - first * 4);
  }

  close(): Promise<void> {
    return this.#base.close();
  }

  #storedName = (name: string): readonly string[] => {
    const presented = this.#presented.get(name);
    if (!presented) return [name];
    return presented.from === this.#base ? [presented.stored.name] : [];
  };

  #productsOf(name: string, additions: Presented["additions"], signal: AbortSignal | undefined) {
    if (this.#last?.name !== name) {
      const products = Promise.all(additions.map((addition) => addition(signal)));
      this.#last = { name, products };
      // What failed is tried again.
      products.catch(() => {
        this.#last = undefined;
      });
    }
    return this.#last.products;
  }
}
