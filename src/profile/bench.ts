/**
 * Speed of a model on its device: prefill and decode, against the device's own ceilings measured in the same run, and
 * with interventions against the plain model in interleaved pairs.
 */
import { entry, optional, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { signal as abortSignal, callback, whole } from "../arguments/rules.ts";
import { benchDefaults } from "../defaults.ts";
import { throwIfAborted } from "../errors.ts";
import { PipelineCache } from "../execution/pipelines.ts";
import type { StepRows } from "../kernels/step.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";
import { checkContext } from "../model/session-options.ts";
import { type DecodeOptions, decode, type Prompt, prepareDecode } from "../runtime/decode.ts";
import type { Sequences } from "../runtime/sequences.ts";
import { type Ceilings, surveyAgain, surveyCeilings } from "./ceilings.ts";
import { median, medianInterval, spread } from "./statistics.ts";

/** Options of {@link benchModel}. */
export interface BenchOptions {
  /** Default 64, or what the model's context allows. */
  readonly promptTokens?: number;
  /** Tokens decoded after the first; default 16, or what fits into the context. */
  readonly newTokens?: number;
  /** Repetitions, at least 5; default 5, with an edited model 11. */
  readonly repetitions?: number;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
  /** Called with the name of the measurement, repetitions done so far, and in all. */
  onProgress?(doing: string, done: number, total: number): void;
}

export const benchDoor = entry(
  "benchModel",
  ["model", anyModel],
  ["edited", optional(anyModel)],
  optionsOf(
    fields<BenchOptions>()({
      promptTokens: whole({ least: 1 }),
      newTokens: whole({ least: 1 }),
      repetitions: whole({ least: 5 }),
      signal: abortSignal,
      onProgress: callback<NonNullable<BenchOptions["onProgress"]>>(),
    }),
  ),
);

/** A number over all repetitions. */
export interface BenchSpread {
  /** Minimum. */
  readonly min: number;
  /** Median. */
  readonly median: number;
  /** Maximum. */
  readonly max: number;
}

/** A model's speed and its device's ceilings. */
export interface BenchResult {
  /** The device's name. */
  readonly device: string;
  /** Tokens of the prompt. */
  readonly prompt_tokens: number;
  /** Tokens generated per repetition. */
  readonly new_tokens: number;
  /** Number of repetitions measured. */
  readonly repetitions: number;
  /** Prompt tokens per second; median. */
  readonly prefill_tokens_per_s: number;
  /** Generated tokens per second after the first; median. */
  readonly decode_tokens_per_s: number;
  /** The device's measured ceilings. */
  readonly ceilings: Ceilings;
  /** Weight and cache bytes per token, divided by the time of one, relative to the read ceiling. */
  readonly decode_share_of_bandwidth: number;
  /** Prefill's arithmetic relative to the device's multiply-add ceiling. */
  readonly prefill_share_of_fma: number;
  /** Prefill's arithmetic relative to the ceiling of outer products from cached data. */
  readonly prefill_share_of_gemm: number;
  /**
   * Milliseconds. `cold` compiles what the first token needs, which took `compile` of them; `warm` is the median of the
   * repetitions.
   */
  readonly time_to_first_token_ms: { readonly cold: number; readonly warm: number; readonly compile: number };
  /** Bytes of the weights and this session's buffers. */
  readonly gpu_bytes: number;
  /** Speeds over all repetitions. */
  readonly spread: { readonly prefill_tokens_per_s: BenchSpread; readonly decode_tokens_per_s: BenchSpread };
  /** Time with interventions over time without: median of interleaved pairs. */
  readonly decode_ratio_to_plain?: number;
  /** Its 95 % interval. */
  readonly decode_ratio_interval?: readonly [low: number, high: number];
  /** The same for prefill. */
  readonly prefill_ratio_to_plain?: number;
  /** Its 95 % interval. */
  readonly prefill_ratio_interval?: readonly [low: number, high: number];
}

/** Milliseconds of one generation. */
interface Run {
  readonly prefill: number;
  /** Milliseconds of one decoded token. */
  readonly decode: number;
}

/**
 * @param model the plain model
 * @param edited the same model with interventions, to be compared
 * @throws SluiceError `usage` for numbers out of range, `context_overflow`
 */
export async function benchModel(model: Model, edited?: Model, options: BenchOptions = {}): Promise<BenchResult> {
  return measured(...benchDoor.read(model, edited, options));
}

async function measured(model: Model, edited: Model | undefined, options: BenchOptions): Promise<BenchResult> {
  const { repetitions = edited ? benchDefaults.pairedRepetitions : benchDefaults.repetitions, signal } = options;
  const most = model.config.max_position_embeddings;
  const promptTokens =
    options.promptTokens ?? Math.max(1, Math.min(benchDefaults.promptTokens, Math.floor((most * 3) / 4)));
  const newTokens = options.newTokens ?? Math.max(1, Math.min(benchDefaults.newTokens, most - promptTokens));
  const context = checkContext(promptTokens + newTokens, model.config);
  const prompt = spreadTokens(promptTokens, model.config.vocab_size);
  const { gpu } = model.internals;
  // Kernels of the ceilings are not the model's.
  const pipelines = new PipelineCache(gpu);
  let plain: Lane | undefined;
  let other: Lane | undefined;
  try {
    const survey = await surveyCeilings(gpu, pipelines, {
      signal,
      onProgress: (done, total) => options.onProgress?.("measuring ceilings", done, total),
    });
    plain = await Lane.open(model, context, prompt, newTokens, signal);
    const cold = await plain.first();
    const gpu_bytes = model.gpuBytes;
    if (edited) {
      other = await Lane.open(edited, context, prompt, newTokens, signal);
      await other.first();
    }
    const lanes = other ? [plain, other] : [plain];
    const runs = new Map<Lane, Run[]>(lanes.map((lane) => [lane, []]));
    for (let i = 0; i < repetitions; i++) {
      // Each side goes first in every second pair, so that neither has the warmer machine.
      for (const lane of i % 2 === 0 ? lanes : [...lanes].reverse()) {
        throwIfAborted(signal);
        runs.get(lane)?.push(await lane.run());
      }
      options.onProgress?.("measuring", i + 1, repetitions);
    }
    const ceilings = await surveyAgain(gpu, pipelines, survey, { signal });
    const own = runs.get(plain) as Run[];
    const prefill = median(own.map((run) => run.prefill));
    const decodeMs = median(own.map((run) => run.decode));
    const work = plain.work();
    const prefillRate = work.prefillFlops / prefill / 1e6;
    return {
      device: model.device.name,
      prompt_tokens: promptTokens,
      new_tokens: newTokens,
      repetitions,
      prefill_tokens_per_s: (promptTokens * 1000) / prefill,
      decode_tokens_per_s: 1000 / decodeMs,
      ceilings,
      decode_share_of_bandwidth: work.decodeBytes / decodeMs / 1e6 / ceilings.read_gb_per_s,
      prefill_share_of_fma: prefillRate / ceilings.fma_gflop_per_s,
      prefill_share_of_gemm: prefillRate / ceilings.gemm_gflop_per_s,
      time_to_first_token_ms: { cold: cold.total, warm: prefill, compile: cold.compile },
      gpu_bytes,
      spread: {
        prefill_tokens_per_s: spread(own.map((run) => (promptTokens * 1000) / run.prefill)),
        decode_tokens_per_s: spread(own.map((run) => 1000 / run.decode)),
      },
      ...(other && ratios(own, runs.get(other) as Run[])),
    };
  } finally {
    plain?.dispose();
    other?.dispose();
    pipelines.dispose();
  }
}

function ratios(plain: readonly Run[], edited: readonly Run[]): Partial<BenchResult> {
  const pairs = (of: keyof Run) => plain.map((run, i) => (edited[i] as Run)[of] / run[of]);
  return {
    decode_ratio_to_plain: median(pairs("decode")),
    decode_ratio_interval: medianInterval(pairs("decode")),
    prefill_ratio_to_plain: median(pairs("prefill")),
    prefill_ratio_interval: medianInterval(pairs("prefill")),
  };
}

/** One model with its own session, in which the same generation is repeated. */
class Lane {
  readonly #sequences: Sequences;
  readonly #layout: Model["internals"]["layout"];
  readonly #prompts: readonly Prompt[];
  readonly #options: DecodeOptions;

  static async open(
    model: Model,
    context: number,
    tokens: readonly number[],
    newTokens: number,
    signal: AbortSignal | undefined,
  ): Promise<Lane> {
    const sequences = await model.openSequences({ context, signal });
    return new Lane(sequences, model.internals.layout, tokens, newTokens, signal);
  }

  constructor(
    sequences: Sequences,
    layout: Model["internals"]["layout"],
    tokens: readonly number[],
    newTokens: number,
    signal: AbortSignal | undefined,
  ) {
    this.#sequences = sequences;
    this.#layout = layout;
    this.#prompts = [{ sequence: 0, tokens, reused: 0 }];
    const sampling = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 0 };
    this.#options = { ...sampling, maxNewTokens: newTokens + 1, stopTokens: new Set(), signal };
  }

  /** Compiles, and runs once: milliseconds to the first token, and those of compiling. */
  async first(): Promise<{ readonly total: number; readonly compile: number }> {
    const started = performance.now();
    await prepareDecode(this.#sequences, this.#prompts, this.#options);
    const compile = performance.now() - started;
    const { prefill } = await this.run();
    return { total: compile + prefill, compile };
  }

  async run(): Promise<Run> {
    this.#sequences.slots.truncate(0, 0);
    this.#sequences.reuse(0, (this.#prompts[0] as Prompt).tokens);
    const started = performance.now();
    let first = started;
    let count = 0;
    for await (const _ of decode(this.#sequences, this.#prompts, this.#options)) {
      if (count++ === 0) first = performance.now();
    }
    const ended = performance.now();
    return { prefill: first - started, decode: (ended - first) / Math.max(1, count - 1) };
  }

  /** Operations of the prefill, and bytes of weights and cache read for a token in the middle of the decode. */
  work(): { readonly prefillFlops: number; readonly decodeBytes: number } {
    const { executor, plan } = this.#sequences;
    const length = (this.#prompts[0] as Prompt).tokens.length;
    let prefillFlops = 0;
    for (let first = 0; first < length; first += plan.chunkRows) {
      const rows = Math.min(plan.chunkRows, length - first);
      const works = executor.worksOf(rowsAt(first, rows, first + rows === length), "logits", "greedy");
      prefillFlops += works.reduce((sum, { cost }) => sum + cost.flops, 0);
    }
    const middle = length + Math.floor(this.#options.maxNewTokens / 2);
    let decodeBytes = 0;
    for (const { dispatch, cost } of executor.worksOf(rowsAt(middle, 1, true), "logits", "greedy")) {
      const { weights } = dispatch.bind;
      if (weights?.role === "weights") decodeBytes += this.#layout.bytesOfPart(weights.part);
      if (dispatch.readsCache) decodeBytes += cost.bytes;
    }
    return { prefillFlops, decodeBytes };
  }

  dispose(): void {
    this.#sequences.dispose();
  }
}

/** A step of rows at positions from `first`; with `out`, the last goes through the head. */
function rowsAt(first: number, count: number, out: boolean): StepRows {
  const rows = Array.from({ length: count }, (_, i) => {
    return { token_index: 0, position: first + i, slot: 0, sequence: 0 };
  });
  const last = { row: count - 1, token_index: 0, sequence: 0, position: first + count - 1 };
  return { rows, outs: out ? [last] : [] };
}

/** Ids spread over the vocabulary, always the same: a prompt if none is given. */
export function spreadTokens(count: number, vocabSize: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => (i * 7919 + 13) % vocabSize);
}
