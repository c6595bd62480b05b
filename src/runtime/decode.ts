/**
 * The decoding loop: prompts in, token ids out, for a batch of sequences at once.
 *
 * Sampled ids stay on the GPU and feed the next step there; the host encodes several steps per submit, one submit ahead,
 * and reads their ids together (decode-runs.ts). What is computed past a stop is discarded and its cache positions rolled
 * back: however decoding ends, the cache holds keys and values of tokens that the caller has seen, and of no others.
 */

import { throwIfAborted } from "../errors.ts";
import type { Constraint } from "../grammar/constraint.ts";
import { LOGPROB_WORDS } from "../kernels/sample/sample.ts";
import type { StepRows } from "../kernels/step.ts";
import {
  type Continued,
  type DecodeRun,
  DecodeRuns,
  type Drawn,
  RUNS_UNDER_WAY,
  rowsOfEveryKernel,
} from "./decode-runs.ts";
import { MAX_STEPS_PER_RUN } from "./executor.ts";
import type { StageNotice } from "./live-stages.ts";
import { notFinite } from "./not-finite.ts";
import type { Read } from "./run.ts";
import {
  type DrawingTail,
  type DrawnLogprobs,
  logprobsRead,
  readLogprobs,
  setMask,
  setSampling,
  tailFor,
} from "./sampler-state.ts";
import type { SettledSampling } from "./sampling.ts";
import type { Sequences } from "./sequences.ts";

/** What a sampler writes instead of an id for logits that are not finite. */
export const NOT_FINITE = 0xffffffff;

export interface DecodeOptions extends SettledSampling {
  readonly maxNewTokens: number;
  /** Ids that end a sequence. */
  readonly stopTokens: ReadonlySet<number>;
  readonly signal?: AbortSignal | undefined;
}

/** Why a sequence ended: a stop token or a complete constrained text, `maxNewTokens`, or the end of its context. */
export type FinishReason = "stop" | "length" | "context";

/** A new token of a sequence; with `finish`, its last. */
export interface DecodedToken {
  readonly sequence: number;
  readonly token: number;
  readonly finish: FinishReason | undefined;
  /** If they are wanted. */
  readonly logprobs?: DrawnLogprobs | undefined;
  /** Changes of stages that act from this token on. */
  readonly changes: readonly StageNotice[];
}

/** What a sequence is to continue. */
export interface Prompt {
  readonly sequence: number;
  readonly tokens: readonly number[];
  /** How many of the first tokens the sequence already holds; fewer than all. */
  readonly reused: number;
  /** What its tokens are drawn with; default: the options' seed. */
  readonly seed?: number | undefined;
}

/**
 * Prefills what the sequences do not hold of their prompts (`Sequences.reuse` made them ready) and decodes until every sequence ended. Stop tokens end a
 * sequence and are reported as its last token. The caller ends a sequence early by adding it to `stopped`.
 * @throws SluiceError `non_finite`, and everything that running a step throws
 */
export async function* decode(
  sequences: Sequences,
  prompts: readonly Prompt[],
  options: DecodeOptions,
  stopped: ReadonlySet<number> = new Set(),
): AsyncGenerator<DecodedToken> {
  const decoding = new Decoding(sequences, prompts, options, stopped);
  yield* decoding.firstTokens();
  yield* decoding.furtherTokens();
}

class Decoding {
  readonly #sequences: Sequences;
  readonly #prompts: readonly Prompt[];
  readonly #options: DecodeOptions;
  readonly #stopped: ReadonlySet<number>;
  readonly #tail: DrawingTail;
  /** What the texts of constrained sequences are so far. */
  readonly #constraints = new Map<number, Constraint>();
  /** By sequence. */
  readonly #all: ReadonlyMap<number, Continued>;
  /** Sequences that have a token and continue. */
  #active: readonly Continued[] = [];

  constructor(sequences: Sequences, prompts: readonly Prompt[], options: DecodeOptions, stopped: ReadonlySet<number>) {
    this.#sequences = sequences;
    this.#prompts = prompts;
    this.#options = options;
    this.#stopped = stopped;
    this.#tail = tailFor(options);
    const { plan } = sequences;
    for (const { sequence, tokens, seed = options.seed } of this.#tail === "greedy" ? [] : prompts) {
      setSampling(sequences, sequence, tokens, { ...options, seed });
      if (!options.grammar) continue;
      const constraint = options.grammar.begin();
      this.#constraints.set(sequence, constraint);
      setMask(sequences, sequence, constraint.mask());
    }
    this.#all = new Map(
      prompts.map(({ sequence, tokens }): [number, Continued] => {
        const { length } = tokens;
        const budget = Math.min(options.maxNewTokens, plan.capacity + 1 - length);
        return [sequence, { sequence, promptLength: length, budget, tokens: [...tokens], changes: [] }];
      }),
    );
  }

  /** Runs the prompts; yields the first token of each as it comes. */
  async *firstTokens(): AsyncGenerator<DecodedToken> {
    const sequences = this.#sequences;
    const { signal } = this.#options;
    for (const { sequence } of this.#prompts) {
      while (sequences.isOutdated(sequence)) await sequences.refresh([sequence], signal);
    }
    const feeds = this.#prompts.map(({ sequence, tokens, reused }) => {
      this.#takeNotices(sequence);
      return { sequence, tokens: tokens.slice(reused), outs: "last" as const };
    });
    const reads = ({ outs }: StepRows): readonly Read[] => [
      ...outs.map(({ token_index }) => idsRead(token_index, 1)),
      ...(this.#tail === "scored" ? outs.map(({ token_index }) => logprobsRead(token_index, 1)) : []),
    ];
    const first = { head: "logits", tail: this.#tail, reads, signal, isReported: true } as const;
    /** Whose first token is still to come; of these, which hold what was computed under other values than those of now. */
    const waiting = new Set(this.#all.values());
    const mixed = new Set<Continued>();
    for await (const { step, bytes } of sequences.feed(feeds, first)) {
      for (const [i, { sequence }] of step.outs.entries()) {
        const continued = this.#all.get(sequence) as Continued;
        if (mixed.has(continued)) continue;
        waiting.delete(continued);
        yield await this.#begin(continued, bytes, i, step.outs.length);
        throwIfAborted(signal);
      }
      // Of prompts that run in several steps: what changed meanwhile acts from the next of them on.
      for (const continued of waiting) {
        continued.changes = [...continued.changes, ...this.#takeNotices(continued.sequence)];
        if (sequences.isOutdated(continued.sequence)) mixed.add(continued);
      }
    }
    for (const continued of mixed) {
      const { sequence, promptLength: length } = continued;
      const last = sequences.held(sequence).slice(length - 1);
      sequences.slots.truncate(sequence, length - 1);
      while (sequences.isOutdated(sequence)) await sequences.refresh([sequence], signal);
      continued.changes = [...continued.changes, ...this.#takeNotices(sequence)];
      for await (const { bytes } of sequences.feed([{ sequence, tokens: last, outs: "last" }], first)) {
        yield await this.#begin(continued, bytes, 0, 1);
        throwIfAborted(signal);
      }
    }
  }

  /** Decodes until every sequence that has its first token has ended. */
  async *furtherTokens(): AsyncGenerator<DecodedToken> {
    this.#dropStopped();
    const begun = this.#active;
    const runs = new DecodeRuns(this.#sequences, this.#options, this.#options.signal);
    try {
      let run = begun.length > 0 ? await runs.begin(begun) : undefined;
      while (run) {
        const behind: DecodeRun | undefined = await runs.beginBehind(run, this.#active);
        yield* this.#tokensOf(run, await runs.read(run));
        for (const continued of run.running) if (!this.#active.includes(continued)) runs.settle(continued);
        if (this.#active.length === 0) break;
        if (behind && !runs.areChanged(this.#active)) run = behind;
        else {
          if (behind) for (const continued of this.#active) runs.rewind(continued);
          run = await runs.begin(this.#active);
        }
      }
    } finally {
      for (const continued of begun) runs.settle(continued);
    }
  }

  /** The tokens of a run, step by step, of the sequences that had not ended before. */
  async *#tokensOf({ running }: DecodeRun, drawn: readonly Drawn[]): AsyncGenerator<DecodedToken> {
    const longest = drawn.reduce((most, { ids }) => Math.max(most, ids.length), 0);
    for (let s = 0; s < longest; s++) {
      for (const [i, continued] of running.entries()) {
        const token = drawn[i]?.ids[s];
        if (token === undefined || !this.#active.includes(continued)) continue;
        const decoded = await this.#accept(continued, token, drawn[i]?.logprobs?.[s]);
        if (decoded.finish) this.#active = this.#active.filter((other) => other !== continued);
        yield decoded;
        throwIfAborted(this.#options.signal);
        this.#dropStopped();
      }
    }
  }

  /** The first token of a sequence, read as out row `i` of `outs`; the sequence continues unless that token ends it. */
  async #begin(continued: Continued, bytes: readonly ArrayBuffer[], i: number, outs: number): Promise<DecodedToken> {
    const records = bytes[outs + i];
    const [logprobs] = records ? readLogprobs(records, this.#options) : [];
    const decoded = await this.#accept(continued, idsOf(bytes[i])[0] as number, logprobs);
    if (!decoded.finish) this.#active = [...this.#active, continued];
    return decoded;
  }

  async #accept(continued: Continued, token: number, logprobs: DrawnLogprobs | undefined): Promise<DecodedToken> {
    const { sequence, promptLength, budget, changes } = continued;
    const { stopTokens, maxNewTokens } = this.#options;
    const position = continued.tokens.length;
    if (token === NOT_FINITE) {
      const error = await notFinite(
        this.#sequences,
        sequence,
        `The logits for position ${position} of sequence ${sequence}`,
      );
      // What was computed with them must not be reused.
      this.#sequences.outdate(sequence);
      throw error;
    }
    this.#sequences.learn(sequence, position, token);
    continued.tokens.push(token);
    continued.changes = [];
    const count = continued.tokens.length - promptLength;
    const known = { sequence, token, changes, ...(logprobs && { logprobs }) };
    if (stopTokens.has(token) || this.#completes(sequence, token)) return { ...known, finish: "stop" };
    if (count < budget) return { ...known, finish: undefined };
    return { ...known, finish: count < maxNewTokens ? "context" : "length" };
  }

  /** Whether a constrained text is complete with this token and cannot go on; if it can, what may come next is set. */
  #completes(sequence: number, token: number): boolean {
    const constraint = this.#constraints.get(sequence);
    if (!constraint) return false;
    constraint.accept(token);
    if (constraint.isDone) return true;
    setMask(this.#sequences, sequence, constraint.mask());
    return false;
  }

  #takeNotices(sequence: number): readonly StageNotice[] {
    return this.#sequences.stages?.takeNotices(sequence) ?? [];
  }

  #dropStopped(): void {
    if (this.#stopped.size > 0) this.#active = this.#active.filter(({ sequence }) => !this.#stopped.has(sequence));
  }
}

function idsRead(tokenIndex: number, count: number): Read {
  return { role: { role: "tokens" }, offset: tokenIndex * 4, byteLength: count * 4 };
}

function idsOf(bytes: ArrayBuffer | undefined): Uint32Array {
  return new Uint32Array(bytes ?? new ArrayBuffer(0));
}

/**
 * Compiles what prefilling these prompts and decoding from them needs, also with fewer sequences as some end, so that
 * nothing compiles between two tokens; of a live session also what computing the cache again needs, which may take any
 * number of rows.
 */
export async function prepareDecode(
  sequences: Sequences,
  prompts: readonly Prompt[],
  options: DecodeOptions,
): Promise<void> {
  const { plan, executor } = sequences;
  const tail = tailFor(options);
  const total = prompts.reduce((sum, { tokens, reused }) => sum + tokens.length - reused, 0);
  const full = Math.min(total, plan.chunkRows);
  const sizes = [full, total % plan.chunkRows].filter((rows) => rows > 0).map((rows) => ({ rows, outs: 1 }));
  const longest = Math.max(...prompts.map(({ tokens }) => tokens.length + options.maxNewTokens - 1));
  const most = Math.min(longest, plan.capacity, plan.chunkRows);
  const plans = executor.plansInUse;
  // With one plan in use nothing is turned on or off, and no cache is computed again.
  const again = plans.length === 1 ? [] : rowsOfEveryKernel(plans, most).map((rows) => ({ rows, outs: 0 }));
  const mostDecoding = Math.min(prompts.length, plan.chunkRows, plan.chunkOuts);
  // Short contexts and long ones may use different kernels.
  const decoding = [1, longest].flatMap((keys) =>
    rowsOfEveryKernel(plans, mostDecoding).map((rows) => ({ rows, outs: rows, keys })),
  );
  sequences.sync(prompts.map(({ sequence }) => sequence));
  const wordsPerToken = tail === "scored" ? 1 + LOGPROB_WORDS : 1;
  executor.reserveReads(RUNS_UNDER_WAY, prompts.length * MAX_STEPS_PER_RUN * 4 * wordsPerToken);
  await executor.prepare(
    [...sizes, ...decoding, ...again].map((size) => ({ keys: size.rows, ...size, head: "logits", tail }) as const),
    options.signal,
  );
}
