/** What sessions of a model are opened with. */
import { SluiceError } from "../errors.ts";
import type { PoolReduction } from "../kernels/fit/pool.ts";
import type { ModelConfig } from "../model-config.ts";

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

/**
 * The positions, once it is known that a model can have so many.
 * @throws SluiceError `usage`, `context_overflow`
 */
export function checkContext(positions: number, { max_position_embeddings: most }: ModelConfig): number {
  if (!Number.isSafeInteger(positions) || positions < 1) {
    throw new SluiceError("usage", `A context of ${positions} makes no sense; it must be a whole number, 1 or more`);
  }
  if (positions > most) {
    throw new SluiceError("context_overflow", `${positions} positions exceed the model's context of ${most}`, {
      hint: "Use fewer tokens; the model was not made for more (max_position_embeddings in config.json).",
    });
  }
  return positions;
}
