/** Positions in words, as `sluice bundle inspect` prints them. */
import { showText } from "../show.ts";
import type { PositionRange, Positions } from "./positions.ts";

/** What a line has room for. */
const MOST_CHARACTERS = 200;

/** For example `at the prompt's tokens`, `at position 0 and the prompt's last token`. */
export function describePositions(positions: Positions): string {
  return showText(describe(positions), MOST_CHARACTERS);
}

function describe(positions: Positions): string {
  if (typeof positions === "string") return NAMES[positions];
  if (Array.isArray(positions)) return describeList(positions as readonly number[]);
  if ("tokens" in positions) return `at every token ${some(positions.tokens, String)}`;
  if ("any" in positions) return some(positions.any, describe, ", and ");
  if ("not" in positions) return `everywhere but ${describe(positions.not)}`;
  return describeRange(positions as PositionRange);
}

const NAMES = {
  all: "at all tokens",
  prompt: "at the prompt's tokens",
  generated: "at the tokens after the prompt",
  last_prompt_onward: "from the prompt's last token on",
} as const;

function describeList(list: readonly number[]): string {
  if (list.length === 1) return `at ${place(list[0] as number)}`;
  const back = list.some((position) => position < 0) ? ", counted back from the prompt's end where negative" : "";
  return `at positions ${some(list, String)}${back}`;
}

function describeRange({ from, to }: PositionRange): string {
  if (to === undefined) return `from ${place(from)} on`;
  if (to === "P") return `from ${place(from)} to the prompt's last token`;
  if (from >= 0 && to > 0) return to === from + 1 ? `at ${place(from)}` : `at positions ${from} to ${to - 1}`;
  return `from ${place(from)} up to but without ${place(to)}`;
}

function place(position: number): string {
  if (position >= 0) return `position ${position}`;
  if (position === -1) return "the prompt's last token";
  return `the prompt's last token but ${-position - 1}`;
}

/** The first few of a list: what follows would be cut off. */
function some<Item>(list: readonly Item[], text: (item: Item) => string, between = ", "): string {
  const shown = list.slice(0, MOST_CHARACTERS / 4).map(text);
  return list.length > shown.length ? `${shown.join(between)}, … (${list.length} in all)` : shown.join(between);
}
