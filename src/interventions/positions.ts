/** Scopes that lie beyond a run: no error, since a bundle serves runs of any length, but worth a word. */
import { rangeOf } from "./settings.ts";
import type { Composition } from "./stage.ts";

/**
 * A warning for each stage whose positions begin after a run's last token, so that it changes nothing.
 * @param promptLength P, in tokens
 * @param length of the run in tokens; in generation, all that may yet come included
 */
export function positionWarnings({ stages }: Composition, promptLength: number, length: number): readonly string[] {
  return stages.flatMap((stage) => {
    if (stage.kind === "edge_mask") return [];
    const [from] = rangeOf(stage.positions, promptLength);
    if (from < length) return [];
    return [`Stage "${stage.id}" begins at position ${from}, but this run has ${length} tokens: it changes nothing`];
  });
}
