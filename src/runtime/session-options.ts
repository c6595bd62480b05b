/** What sessions of a model are opened with. */
import type { PoolReduction } from "../kernels/pool.ts";

/** Positions that a session's cache holds when nobody says; models made for fewer get fewer. */
export const DEFAULT_CONTEXT = 2048;

export interface SessionOptions {
  /** Sequences side by side; default 1. */
  readonly sequences?: number;
  /** Positions per sequence; default: the model's, at most 2048. */
  readonly context?: number;
  /** Positions that all sequences together can hold; default: sequences × context. */
  readonly slots?: number;
  /** Sites to capture at every step. */
  readonly captures?: readonly string[];
  /** Pools captures over each sequence's rows of a step; nothing behind the last of them runs. */
  readonly pooling?: PoolReduction;
  /** Stages will be changed: the plan without them is made ready too. Default: false. */
  readonly live?: boolean;
  readonly signal?: AbortSignal | undefined;
}
