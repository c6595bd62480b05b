/** What a running batch is asked for, and what it reports. */
import type { DecodedToken } from "../decode.ts";
import type { SettledSampling } from "../sampling.ts";
import type { RequestStages } from "./program-stages.ts";

/** One continuation. */
export interface BatchRequest {
  /** The prompt: at least one token, and no more than a sequence holds. */
  readonly tokens: readonly number[];
  readonly sampling: SettledSampling;
  readonly maxNewTokens: number;
  /** Ids that end it. */
  readonly stopTokens: ReadonlySet<number>;
  /** P: positions that count as the prompt's. */
  readonly promptLength: number;
  /** What acts on its rows; undefined: nothing. */
  readonly stages: RequestStages | undefined;
  readonly listener: BatchListener;
}

/** Who wants the tokens. Its methods are called while the batch runs and return at once. */
export interface BatchListener {
  /** The request has a sequence. @param reused how many tokens of its prompt are cached already */
  onJoin(reused: number): void;
  /** @returns whether more is wanted */
  onToken(token: Omit<DecodedToken, "sequence" | "changes">): boolean;
  /** The request ended early; nothing follows. */
  onError(error: unknown): void;
}

/** What a batch is doing, and what it did since it was opened. */
export interface BatchStats {
  /** Requests that have a sequence. */
  readonly running: number;
  /** Requests that wait for one. */
  readonly waiting: number;
  /** Sequences there are: the most requests that run at once. */
  readonly sequences: number;
  /** Places of the KV cache: each holds one token's keys and values. */
  readonly slots: number;
  /** Places in use, for running requests and for prefixes that later ones may share. */
  readonly slots_used: number;
  /** Tokens that are cached of requests that ended; their slots are given up when they are needed. */
  readonly cached_tokens: number;
  /** Steps so far. */
  readonly steps: number;
  /** Rows of all steps: prompt tokens that were computed, and tokens that were fed back. */
  readonly rows: number;
  /** Prompt tokens that were computed. */
  readonly prefill_tokens: number;
  /** Prompt tokens that were cached already. */
  readonly reused_tokens: number;
  /** New tokens of all requests. */
  readonly decode_tokens: number;
}
