/** The logit lens: what the model would predict if it ended after each block. */
import { fuse } from "../compile/fuse.ts";
import { lower, MAX_ROWS } from "../compile/lower.ts";
import { logitsOf, type Plan } from "../compile/plan.ts";
import { lensDefaults } from "../defaults.ts";
import { SluiceError } from "../errors.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import { type Graph, withValues } from "../graph/graph.ts";
import type { StepRows } from "../kernels/step.ts";
import type { ModelConfig } from "../model-config.ts";
import { divergence } from "../numbers/distributions.ts";
import { Executor } from "../runtime/executor.ts";
import { checkVocabulary } from "../runtime/sequences.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Matrix } from "./inspect.ts";
import type { ModelParts } from "./model-parts.ts";
import type { LensOptions, RunOptions } from "./options.ts";
import { logSoftmax } from "./paired-predictions.ts";
import { likeliest, oddsOf, type TokenOdds, type TokenProbability, textAfter } from "./token-odds.ts";

/** What a layer predicts after a token. */
export interface LensCell {
  /** The likeliest tokens. */
  readonly top: readonly TokenProbability[];
  /** The token that follows in the text; null after the last. */
  readonly next: TokenOdds | null;
  /** The tokens asked for, in their order. */
  readonly asked: readonly TokenOdds[];
  /** KL(model ‖ layer): how far this layer's prediction is from the model's own, in nats. */
  readonly kl_nats: number;
  /** Entropy of the prediction, in nats. */
  readonly entropy_nats: number;
}

/** The predictions of one layer. */
export interface LensLayer {
  /** Where its stream is read: `embed`, `resid_post.0`, … */
  readonly site: string;
  /** One per token of the text. */
  readonly cells: readonly LensCell[];
}

/** Predictions by layer and token. */
export interface Lens {
  /** The text's ids. */
  readonly tokens: readonly number[];
  /** Their texts, each in its place; null without a tokenizer. */
  readonly texts: readonly string[] | null;
  /** The tokens asked for. */
  readonly asked: readonly number[];
  /** From the embedding to the last block. */
  readonly layers: readonly LensLayer[];
}

/** The sites that a lens looks at: the embedding, and the stream after each block asked for. */
function lensSites(layerCount: number, layers: LensOptions["layers"]): readonly string[] {
  if (layers === undefined) return ["embed", ...Array.from({ length: layerCount }, (_, i) => `resid_post.${i}`)];
  for (const layer of layers) {
    if (layer < layerCount) continue;
    throw new SluiceError("usage", `There is no layer ${layer}; this model has ${layerCount}, from 0`, {
      field: "layers",
    });
  }
  return [...new Set(layers)].sort((a, b) => a - b).map((layer) => `resid_post.${layer}`);
}

/** What a lens needs of a model. */
interface Looked {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer | null;
  readonly internals: ModelParts & { readonly pipelines: PipelineCache };
  capture(ids: readonly number[], sites: readonly string[], options: RunOptions): Promise<ReadonlyMap<string, Matrix>>;
  logits(ids: readonly number[], options: RunOptions): Promise<Matrix>;
}

/**
 * Captures the stream of a model, with its interventions, and reads it through the plain model's head.
 * @param options read at the door
 */
export async function runLens(model: Looked, ids: readonly number[], options: ReadOptions): Promise<Lens> {
  const { config, internals, tokenizer } = model;
  const { promptLength, signal } = options;
  checkVocabulary(options.asked ?? [], config.vocab_size);
  const sites = lensSites(config.num_hidden_layers, options.layers);
  const run = { ...(promptLength !== undefined && { promptLength }), ...(signal && { signal }) };
  const streams = await model.capture(ids, sites, run);
  const own = await model.logits(ids, run);
  const head = new LensHead(internals, internals.pipelines);
  try {
    return await readLens(head, ids, streams, own, tokenizer, options);
  } finally {
    head.dispose();
  }
}

/** Options whose ids are in an array. */
type ReadOptions = Omit<LensOptions, "asked"> & { readonly asked?: readonly number[] };

/**
 * @param streams the captured stream by site, `[T, hidden]` each
 * @param own the model's own logits, `[T, vocab]`
 */
async function readLens(
  head: LensHead,
  ids: readonly number[],
  streams: ReadonlyMap<string, Matrix>,
  own: Matrix,
  tokenizer: Tokenizer | null,
  { top = lensDefaults.top, asked = [], signal }: ReadOptions,
): Promise<Lens> {
  const vocab = own.shape[1] as number;
  const last = ids.map((_, i) => logSoftmax(own.data.subarray(i * vocab, (i + 1) * vocab)));
  const layers: LensLayer[] = [];
  for (const [site, stream] of streams) {
    const cells: LensCell[] = [];
    for await (const logits of head.logitsOf(stream, signal)) {
      const at = cells.length;
      const predicted = logSoftmax(logits);
      const next = ids[at + 1];
      cells.push({
        top: likeliest(predicted, top, tokenizer, ids[at] as number),
        next: next === undefined ? null : oddsOf(predicted, next),
        asked: asked.map((token) => oddsOf(predicted, token)),
        kl_nats: divergence(last[at] as Float64Array, predicted, 0, 0),
        entropy_nats: entropyOf(predicted),
      });
    }
    layers.push({ site, cells });
  }
  const texts = tokenizer && ids.map((id, i) => textAfter(tokenizer, ids[i - 1], id) as string);
  return { tokens: ids, texts, asked, layers };
}

function entropyOf(logProbabilities: Float64Array): number {
  let sum = 0;
  for (const each of logProbabilities) if (each > -Infinity) sum -= Math.exp(each) * each;
  return sum;
}

/** A model's final norm and head alone, for rows that the caller gives. */
class LensHead {
  readonly #executor: Executor;
  readonly #plan: Plan;
  readonly #width: number;
  readonly #vocab: number;

  /** The plain model's, as its plan runs them: the same kernels, in the same order of summation. */
  constructor(parts: ModelParts, pipelines: PipelineCache) {
    const { gpu, weights, layout, family, reference, tuning, config, onProgress } = parts;
    const graph = withoutBlocks(parts.graph);
    const plan = lower(graph, fuse(graph), layout, {
      family,
      reference,
      choices: tuning.choices,
      sequences: 1,
      // Nothing is cached; as many rows as a step can have.
      capacity: 1,
      slots: MAX_ROWS,
      maxStorageBufferBindingSize: gpu.profile.limits.maxStorageBufferBindingSize,
      subgroups: gpu.profile.features.subgroups !== null,
    });
    // The caller's rows take the place of what the embedding would write.
    this.#plan = { ...plan, body: [] };
    this.#width = config.hidden_size;
    this.#vocab = config.vocab_size;
    this.#executor = new Executor({
      gpu,
      pipelines,
      weights,
      plan: this.#plan,
      onCompile: (done, total) => onProgress({ phase: "compile", done, total }),
    });
  }

  /** Logits of each row of a stream `[T, hidden]`, in order; a row may be overwritten by the next. */
  async *logitsOf(stream: Matrix, signal?: AbortSignal): AsyncGenerator<Float32Array> {
    const count = stream.shape[0] as number;
    const most = Math.min(this.#plan.chunkOuts, this.#plan.chunkRows);
    const { stride } = logitsOf(this.#plan);
    const input = this.#plan.finalNorm[0]?.bind["input"];
    if (!input) throw new Error("The model ends without a norm");
    const padded = Math.ceil(this.#width / 4) * 4;
    for (let first = 0; first < count; first += most) {
      const rows = Math.min(most, count - first);
      const values = new Float32Array(rows * padded);
      for (let row = 0; row < rows; row++) {
        const at = (first + row) * this.#width;
        values.set(stream.data.subarray(at, at + this.#width), row * padded);
      }
      this.#executor.write(input, 0, values);
      const [bytes] = await this.#executor.run({
        steps: [stepOf(rows)],
        head: "logits",
        tail: "none",
        reads: [{ role: { role: "logits" }, offset: 0, byteLength: rows * stride * 4 }],
        signal,
      });
      const logits = new Float32Array(bytes as ArrayBuffer);
      for (let row = 0; row < rows; row++) yield logits.subarray(row * stride, row * stride + this.#vocab);
    }
  }

  dispose(): void {
    this.#executor.dispose();
  }
}

function stepOf(count: number): StepRows {
  const rows = Array.from({ length: count }, (_, slot) => ({ token_index: 0, position: 0, slot, sequence: 0 }));
  return { rows, outs: rows.map((_, row) => ({ row, token_index: 0, sequence: 0, position: 0 })) };
}

/** A graph whose head reads what the embedding writes. */
function withoutBlocks({ config, nodes, logits }: Graph): Graph {
  const embed = nodes.find((node) => node.op === "embed");
  const head = nodes.filter((node) => "out" in node && node.out.rows === "outs");
  if (!embed) throw new Error("The model has no embedding");
  const joined = head.map((node) =>
    node.op === "select_outs"
      ? withValues(
          node,
          () => embed.out,
          (value) => value,
        )
      : node,
  );
  return { config: { ...config, num_hidden_layers: 0 }, nodes: [embed, ...joined], logits };
}
