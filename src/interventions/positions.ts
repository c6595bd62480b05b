/** The positions of a stage as numbers, once the prompt's length is known. */
import type { Composition, Positions } from "./stage.ts";

/**
 * First position and end of what a stage acts on; the end is Infinity for an open range.
 * @param promptLength P, in tokens
 */
export function resolvePositions(positions: Positions, promptLength: number): readonly [from: number, to: number] {
  switch (positions) {
    case "all":
      return [0, Number.POSITIVE_INFINITY];
    case "prompt":
      return [0, promptLength];
    case "generated":
      return [promptLength, Number.POSITIVE_INFINITY];
    case "last_prompt_onward":
      return [promptLength - 1, Number.POSITIVE_INFINITY];
    default:
      return [positions.from, positions.to ?? Number.POSITIVE_INFINITY];
  }
}

/**
 * A warning for each stage whose positions begin after a run's last token, so that it changes nothing.
 * @param length of the run in tokens; in generation, all that may yet come included
 */
export function positionWarnings({ stages }: Composition, promptLength: number, length: number): readonly string[] {
  return stages.flatMap((stage) => {
    if (stage.kind === "edge_mask") return [];
    const [from] = resolvePositions(stage.positions, promptLength);
    if (from < length) return [];
    return [`Stage "${stage.id}" begins at position ${from}, but this run has ${length} tokens: it changes nothing`];
  });
}
