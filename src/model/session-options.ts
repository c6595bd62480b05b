/** Defaults and checks of a session's context. */
import { SluiceError } from "../errors.ts";
import type { ModelConfig } from "../model-config.ts";

/** Default number of positions in a session's cache; fewer if the model's context is smaller. */
export const DEFAULT_CONTEXT = 2048;

/**
 * Checks that a model can have this many positions, and returns them.
 * @throws SluiceError `usage`, `context_overflow`
 */
export function checkContext(positions: number, { max_position_embeddings: most }: ModelConfig): number {
  if (!Number.isSafeInteger(positions) || positions < 1) {
    throw new SluiceError("usage", `The context is ${positions}; it must be a whole number of at least 1`);
  }
  if (positions > most) {
    throw new SluiceError("context_overflow", `${positions} positions exceed the model's context of ${most}`, {
      hint: "Use fewer tokens; the model was not made for more (max_position_embeddings in config.json).",
    });
  }
  return positions;
}
