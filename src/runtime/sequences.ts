/**
 * Sequences of tokens with their cached keys and values, and the buffers to continue them.
 * Turns "these tokens after those" into steps of packed rows, and knows on the host which tokens the cache holds.
 */

import type { Plan, Tail } from "../compile/plan.ts";
import { SluiceError, throwIfAborted } from "../errors.ts";
import type { StepOut, StepRow, StepRows } from "../kernels/step.ts";
import type { Executor } from "./executor.ts";
import type { LiveStages } from "./live-stages.ts";
import type { ProgressListener } from "./progress.ts";
import { commonLength, Roles } from "./roles.ts";
import type { Head, Read, Write } from "./run.ts";
import type { SequenceStages } from "./sequence-stages.ts";
import { SlotTable } from "./slot-table.ts";

/** Tokens that follow what a sequence already holds. */
export interface Feed {
  readonly sequence: number;
  readonly tokens: readonly number[];
  /** Which of these tokens go through the head: none, the last, that many last ones, all, or all that have a successor in `tokens`. */
  readonly outs: "none" | "last" | "all" | "predicting" | number;
}

/** A step that ran, and the requested bytes. */
export interface StepResult {
  readonly step: StepRows;
  readonly bytes: readonly ArrayBuffer[];
}

/** A step on its way. */
export interface SubmittedStep {
  readonly step: StepRows;
  readonly bytes: Promise<readonly ArrayBuffer[]>;
}

export interface FeedOptions {
  readonly head: Head;
  readonly tail: Tail;
  /** What to write before a step, in addition to its rows; default: nothing. */
  readonly writes?: (step: StepRows) => readonly Write[];
  /** What to read after a step; default: nothing. */
  readonly reads?: (step: StepRows) => readonly Read[];
  readonly signal?: AbortSignal | undefined;
  /** Reports each step to the model's listener. */
  readonly isReported?: boolean;
}

/** @throws SluiceError `bad_tokens` for an id outside the vocabulary */
export function checkVocabulary(tokens: readonly number[], vocabSize: number): void {
  const outside = tokens.findIndex((token) => !(Number.isInteger(token) && token >= 0 && token < vocabSize));
  if (outside < 0) return;
  throw new SluiceError(
    "bad_tokens",
    `Token ${outside} is ${tokens[outside]}, outside the vocabulary (0 to ${vocabSize - 1})`,
    { hint: "Check that the ids come from this model's tokenizer." },
  );
}

export class Sequences {
  readonly executor: Executor;
  readonly slots: SlotTable;
  /** The stages that act on them, if all go through the same; absent for a model without interventions. */
  readonly stages: LiveStages | undefined;
  /** Whatever acts on them. */
  readonly #acting: SequenceStages | undefined;
  readonly #roles: Roles[];
  /** Sequences whose cache was filled under values that no longer hold. */
  readonly #outdated = new Set<number>();
  /** Ids by sequence and position: those that are cached, and those that its last call went on to. */
  readonly #tokens: number[][];
  readonly vocabSize: number;
  /** Told how far a call is. */
  readonly onProgress: ProgressListener;

  constructor(
    executor: Executor,
    vocabSize: number,
    stages?: LiveStages,
    onProgress: ProgressListener = () => undefined,
    acting: SequenceStages | undefined = stages,
  ) {
    this.executor = executor;
    this.stages = stages;
    this.#acting = acting;
    this.#roles = Array.from({ length: executor.plan.sequences }, () => new Roles());
    this.slots = new SlotTable(executor.plan.sequences, executor.plan.capacity, executor.plan.slots);
    this.#tokens = Array.from({ length: executor.plan.sequences }, () => []);
    this.vocabSize = vocabSize;
    this.onProgress = onProgress;
  }

  get plan(): Plan {
    return this.executor.plan;
  }

  /** The tokens whose keys and values the cache holds for a sequence, in order. */
  held(sequence: number): readonly number[] {
    return (this.#tokens[sequence] as number[]).slice(0, this.slots.lengthOf(sequence));
  }

  /** @throws SluiceError `bad_tokens` for an id outside the vocabulary */
  check(feeds: readonly { readonly tokens: readonly number[] }[]): void {
    for (const { tokens } of feeds) checkVocabulary(tokens, this.vocabSize);
  }

  /** Notes an id that the GPU sampled for a position; nothing is known of those after it. */
  learn(sequence: number, position: number, token: number): void {
    const known = this.#tokens[sequence] as number[];
    known[position] = token;
    known.length = position + 1;
  }

  /**
   * Makes a sequence ready for a prompt: afterwards it holds the longest beginning of `tokens` that is cached, in it or in
   * another sequence, and nothing else. At least the last token is left out: its logits are wanted, and they come from
   * running it.
   *
   * Under stages only its own cache counts, since another sequence's may have been filled under other values. Where the
   * prompt continues what the sequence holds, or repeats its last prompt, and no `promptLength` is given, every token that
   * is known keeps its role; the rest is prompt. Otherwise the roles are those of P alone, and what is cached counts up to
   * the first token whose role under some stage is another than before.
   * @param promptLength P, if the caller gives it; default: the prompt's length
   * @returns how many tokens it holds then; where `isOutdated`, these are to be computed again first
   */
  reuse(sequence: number, tokens: readonly number[], promptLength?: number): number {
    const length = this.stages
      ? this.#reuseOwn(this.stages, sequence, tokens, promptLength)
      : this.#reuseAny(sequence, tokens);
    const known = this.#tokens[sequence] as number[];
    known.length = Math.min(known.length, length);
    return length;
  }

  #reuseAny(sequence: number, tokens: readonly number[]): number {
    const shared = (from: number): number => {
      const most = Math.min(this.slots.lengthOf(from), tokens.length - 1);
      return Math.min(most, commonLength(this.#tokens[from] as number[], tokens));
    };
    const own = shared(sequence);
    const best = this.#tokens.reduce((most, _, other) => (shared(other) > shared(most) ? other : most), sequence);
    const length = shared(best);
    if (length === own) this.slots.truncate(sequence, own);
    else {
      this.slots.fork(best, sequence, length);
      this.#tokens[sequence] = tokens.slice(0, length);
    }
    return length;
  }

  #reuseOwn(stages: LiveStages, sequence: number, tokens: readonly number[], promptLength: number | undefined): number {
    const held = this.slots.lengthOf(sequence);
    const known = this.#tokens[sequence] as number[];
    const shared = commonLength(known, tokens);
    const roles = this.#roles[sequence] as Roles;
    const isRepeated = shared === tokens.length && tokens.length === roles.promptEnd;
    const kept = Math.min(held, shared, tokens.length - 1);
    if (promptLength === undefined && held > 0 && (shared >= held || isRepeated)) {
      this.slots.truncate(sequence, kept);
      roles.extend(shared, tokens.length);
      if (kept === 0) this.#outdated.delete(sequence);
      return kept;
    }
    const length = promptLength ?? tokens.length;
    const unchanged = this.#outdated.delete(sequence)
      ? 0
      : stages.firstNewRole(sequence, tokens.slice(0, kept), (position) => roles.promptLengthAt(position), length);
    this.slots.truncate(sequence, unchanged);
    roles.reset(promptLength, tokens.length);
    return unchanged;
  }

  /** Drops what a sequence holds from a position on. */
  truncate(sequence: number, length: number): void {
    this.#forget(sequence, length);
  }

  /** Lets a sequence hold the first tokens of another, in place of its own. */
  fork(from: number, to: number, length: number): void {
    this.slots.fork(from, to, length);
    this.#tokens[to] = (this.#tokens[from] as number[]).slice(0, length);
  }

  /**
   * Of the first `common` tokens of a sequence, how many are what they would be in a prompt of their own: up to the first
   * that some stage treats as prompt under one P and not under the other.
   */
  usable(sequence: number, common: number, promptLength: number): number {
    if (!this.#acting) return common;
    const roles = this.#roles[sequence] as Roles;
    const tokens = (this.#tokens[sequence] as number[]).slice(0, common);
    return this.#acting.firstNewRole(sequence, tokens, (position) => roles.promptLengthAt(position), promptLength);
  }

  /** Says that all of a sequence's positions, also those that it holds, are those of a prompt with this P. */
  beginAs(sequence: number, promptLength: number): void {
    (this.#roles[sequence] as Roles).begin(0, promptLength);
    this.#acting?.setPromptLength(sequence, promptLength);
  }

  /** Says which of a sequence's positions from here on count as its prompt's: [0, P). What it holds keeps its roles. */
  beginPrompt(sequence: number, promptLength: number): void {
    (this.#roles[sequence] as Roles).begin(this.slots.lengthOf(sequence), promptLength);
  }

  /** Marks what sequences hold as filled under values that no longer hold: `refresh` computes it again. */
  outdate(sequence: number): void {
    if (this.slots.lengthOf(sequence) > 0) this.#outdated.add(sequence);
  }

  /** Whether what a sequence holds was filled, in whole or part, under values that no longer apply. */
  isOutdated(sequence: number): boolean {
    return this.#outdated.has(sequence);
  }

  /**
   * Computes the cache of those that are outdated again, under the values of now and the roles of then. Sequences that
   * are not about to run can wait: `reuse` lets go of what they hold. What changes meanwhile may outdate any of them once
   * more: callers ask again until `isOutdated` is false.
   */
  async refresh(sequences: readonly number[], signal: AbortSignal | undefined): Promise<void> {
    for (const sequence of sequences.filter((each) => this.#outdated.has(each))) {
      const tokens = this.held(sequence);
      this.slots.truncate(sequence, 0);
      // Before it runs: a change between two of its steps outdates what it holds by then.
      this.#outdated.delete(sequence);
      const known = (this.#tokens[sequence] as number[]).slice();
      const steps = this.feed([{ sequence, tokens, outs: "none" }], { head: "none", tail: "none", signal });
      for await (const _ of steps);
      // The token after them may already be known.
      this.#tokens[sequence] = known;
    }
  }

  /**
   * Runs tokens through the model in chunks, appending to the cache; yields each step once what is read of it is there.
   * When tokens are refused, or a step fails or is aborted, the sequences are left as they were.
   * @throws SluiceError `bad_tokens` for an id outside the vocabulary, `context_overflow`
   */
  async *feed(feeds: readonly Feed[], options: FeedOptions): AsyncGenerator<StepResult> {
    this.#checkFeeds(feeds);
    const lengths = feeds.map(({ sequence }) => this.slots.lengthOf(sequence));
    const total = feeds.reduce((sum, { tokens }) => sum + tokens.length, 0);
    let done = 0;
    try {
      for await (const { step, bytes } of this.#submit(feeds, options)) {
        const result = { step, bytes: await bytes };
        done += step.rows.length;
        if (options.isReported) this.onProgress({ phase: "run", done, total });
        yield result;
      }
    } catch (error) {
      feeds.forEach(({ sequence }, i) => this.#forget(sequence, lengths[i] as number));
      throw error;
    }
  }

  /**
   * As `feed`, for sequences that are given up when it fails: resolves once all steps are submitted, so that further ones
   * can be before these are done. The bytes of each are to be awaited.
   */
  async submit(feeds: readonly Feed[], options: FeedOptions): Promise<readonly SubmittedStep[]> {
    this.#checkFeeds(feeds);
    const steps: SubmittedStep[] = [];
    try {
      for await (const step of this.#submit(feeds, options)) steps.push(step);
    } catch (error) {
      await Promise.allSettled(steps.map(({ bytes }) => bytes));
      throw error;
    }
    return steps;
  }

  async *#submit(feeds: readonly Feed[], options: FeedOptions): AsyncGenerator<SubmittedStep> {
    for (const step of this.#chunk(feeds)) {
      this.sync(feeds.map(({ sequence }) => sequence));
      const reads = options.reads?.(step) ?? [];
      const { head, tail, signal } = options;
      throwIfAborted(signal);
      for (const { role, offset, words } of options.writes?.(step) ?? []) this.executor.write(role, offset, words);
      const bytes = (await this.executor.submit({ steps: [step], head, tail, reads, signal })).bytes();
      // Awaited by callers that need it; if an earlier step fails, no caller does.
      bytes.catch(() => undefined);
      yield { step, bytes };
    }
  }

  /** The steps of a feed, one after another, for callers that run them on their own; each appends to the cache. */
  stepsFor(feed: Feed): Generator<StepRows> {
    this.#checkFeeds([feed]);
    return this.#chunk([feed]);
  }

  /** Index into the token table of a sequence's token at a position. */
  tokenIndex(sequence: number, position: number): number {
    return sequence * (this.plan.capacity + 1) + position;
  }

  /** The next position of each sequence, whose token the GPU holds: a step, or several for many. Appends to the cache. */
  nextSteps(sequences: readonly number[]): readonly StepRows[] {
    const most = Math.min(this.plan.chunkRows, this.plan.chunkOuts);
    const steps: StepRows[] = [];
    for (let first = 0; first < sequences.length; first += most) {
      steps.push(this.#nextStep(sequences.slice(first, first + most)));
    }
    return steps;
  }

  #nextStep(sequences: readonly number[]): StepRows {
    const rows: StepRow[] = [];
    const outs: StepOut[] = [];
    for (const sequence of sequences) {
      const position = this.slots.lengthOf(sequence);
      this.stages?.setPromptLength(sequence, (this.#roles[sequence] as Roles).promptLengthAt(position));
      const slot = this.slots.append(sequence);
      outs.push({ row: rows.length, token_index: this.tokenIndex(sequence, position + 1), sequence, position });
      rows.push({ token_index: this.tokenIndex(sequence, position), position, slot, sequence });
    }
    return { rows, outs };
  }

  /** Sends what changed of slots and stages to the GPU, before these sequences run. */
  sync(sequences: readonly number[]): void {
    const { from, to } = this.slots.takeChanges();
    if (from < to) this.executor.write({ role: "slots" }, from * 4, this.slots.table.subarray(from, to));
    if (!this.#acting) return;
    this.#acting.flush();
    this.executor.setEdited(!this.#acting.areOff(sequences));
  }

  dispose(): void {
    this.executor.dispose();
  }

  /** Whether no stage acts in a sequence. */
  isPlain(sequence: number): boolean {
    return this.#acting?.areOff([sequence]) ?? true;
  }

  /** Drops a sequence's cache and roles from a position on. */
  #forget(sequence: number, length: number): void {
    this.slots.truncate(sequence, length);
    const known = this.#tokens[sequence] as number[];
    known.length = Math.min(known.length, length);
  }

  #checkFeeds(feeds: readonly Feed[]): void {
    this.check(feeds);
    for (const { sequence, tokens } of feeds) this.#checkRoom(this.slots.lengthOf(sequence) + tokens.length);
  }

  #checkRoom(needed: number): void {
    if (needed > this.plan.capacity) {
      throw new SluiceError("context_overflow", `${needed} tokens do not fit into a context of ${this.plan.capacity}`, {
        hint: "Shorten the prompt, or use a larger context if the model allows it.",
      });
    }
  }

  /** Packs tokens into steps of at most chunkRows rows and chunkOuts out rows, in order. */
  *#chunk(feeds: readonly Feed[]): Generator<StepRows> {
    const { chunkRows, chunkOuts } = this.plan;
    let rows: StepRow[] = [];
    let outs: StepOut[] = [];
    for (const { sequence, tokens, outs: wanted } of feeds) {
      const first = this.slots.lengthOf(sequence);
      const roles = this.#roles[sequence] as Roles;
      this.executor.writeTokens(this.tokenIndex(sequence, first), Uint32Array.from(tokens));
      for (let i = 0; i < tokens.length; i++) {
        const isLast = i === tokens.length - 1;
        const isOut =
          wanted === "all" ||
          (wanted === "last" && isLast) ||
          (wanted === "predicting" && !isLast) ||
          (typeof wanted === "number" && i >= tokens.length - wanted);
        const position = first + i;
        // All rows of a sequence in one step have one P.
        const promptLength = roles.promptLengthAt(position);
        const isNewRole = i > 0 && promptLength !== roles.promptLengthAt(position - 1);
        if (rows.length === chunkRows || (isOut && outs.length === chunkOuts) || (isNewRole && this.stages)) {
          yield { rows, outs };
          rows = [];
          outs = [];
        }
        this.stages?.setPromptLength(sequence, promptLength);
        this.learn(sequence, position, tokens[i] as number);
        if (isOut)
          outs.push({ row: rows.length, token_index: this.tokenIndex(sequence, position + 1), sequence, position });
        rows.push({
          token_index: this.tokenIndex(sequence, position),
          position,
          slot: this.slots.append(sequence),
          sequence,
        });
      }
    }
    if (rows.length > 0) yield { rows, outs };
  }
}
