/** Scopes that lie beyond a run: not an error, since a bundle serves runs of any length, but reported. */
import { show } from "../show.ts";
import { acts, dependsOnPrompt, missesAll, type Positions, resolvePositions } from "./positions.ts";

/** A run of tokens. */
export interface RunExtent {
  /** P, in tokens. */
  readonly promptLength: number;
  /** Of the run in tokens; in generation, all that may yet come included. */
  readonly length: number;
  /** The ids of all of them, if they are known beforehand. */
  readonly tokens?: readonly number[];
}

/**
 * Warnings about stages' positions in a run: one for each stage that acts on none of the run's tokens, and for
 * positions that count back beyond the prompt's start.
 */
export function positionWarnings(
  stages: readonly { readonly id: string; readonly positions?: Positions }[],
  run: RunExtent,
): readonly string[] {
  return stages.flatMap(({ id, positions = "all" }) => warningsOf(id, positions, run));
}

/** Warnings about stages that act on no token of any text, if each text's first `promptLength` tokens are prompt. */
export function textWarnings(
  stages: readonly { readonly id: string; readonly positions?: Positions }[],
  texts: readonly { readonly tokens: readonly number[]; readonly promptLength: number }[],
): readonly string[] {
  return stages.flatMap(({ id, positions = "all" }) => {
    const isIdle = !texts.some(({ tokens, promptLength }) => {
      const scope = resolvePositions(positions, promptLength);
      return tokens.some((token, i) => acts(scope, i, token));
    });
    if (!isIdle) return [];
    const why = dependsOnPrompt(positions)
      ? ", all of whose tokens count as prompt unless a prompt length is given"
      : "";
    return [`Stage ${show(id)} (positions ${show(positions)}) acts on no token of the texts${why}: it changes nothing`];
  });
}

function warningsOf(id: string, positions: Positions, run: RunExtent): readonly string[] {
  const { promptLength, length, tokens } = run;
  const scope = resolvePositions(positions, promptLength);
  const isIdle = tokens ? !tokens.some((token, i) => acts(scope, i, token)) : missesAll(scope, length);
  const where = `Stage ${show(id)} (positions ${show(positions)})`;
  const what = `this run has ${count(length, "token")}, ${promptLength >= length ? "all" : promptLength} of them the prompt's`;
  if (isIdle) {
    const why = dependsOnPrompt(positions) ? what : `this run has ${count(length, "token")}`;
    return [`${where} acts on none of this run's tokens and changes nothing: ${why}`];
  }
  const farthest = farthestBack(positions);
  if (farthest <= promptLength) return [];
  return [`${where} counts back ${farthest} from the prompt's end, but the prompt has ${count(promptLength, "token")}`];
}

/** How far negative positions count back at most. */
function farthestBack(positions: Positions): number {
  if (typeof positions === "string") return 0;
  if (Array.isArray(positions)) return (positions as readonly number[]).reduce((most, i) => Math.max(most, -i), 0);
  if ("any" in positions) return positions.any.reduce((most, each) => Math.max(most, farthestBack(each)), 0);
  if ("not" in positions) return farthestBack(positions.not);
  if (!("from" in positions)) return 0;
  return Math.max(0, -positions.from, typeof positions.to === "number" ? -positions.to : 0);
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
