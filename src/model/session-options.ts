/** What sessions of a model are opened with. */
import { SluiceError } from "../errors.ts";
import type { ModelConfig } from "../model-config.ts";

/** Positions that a session's cache holds when nobody says; models made for fewer get fewer. */
export const DEFAULT_CONTEXT = 2048;

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
