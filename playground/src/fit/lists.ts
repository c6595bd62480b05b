/** Two lists of sentences, as typed, pasted or dropped. */
import { plays, tales } from "../../../examples/texts.js";

/** One per line; a line of JSON with a `text` counts as that text. */
export function sentencesIn(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => (line.startsWith("{") ? textOf(line) : line));
}

function textOf(line: string): string {
  try {
    const { text } = JSON.parse(line) as { readonly text?: unknown };
    return typeof text === "string" ? text : line;
  } catch {
    // A sentence may begin with a brace.
    return line;
  }
}

/** Every fifth is kept out of the fit and judged, if there are enough. */
export function split<Item>(items: readonly Item[]): {
  readonly fit: readonly Item[];
  readonly judge: readonly Item[];
} {
  if (items.length < 10) return { fit: items, judge: items };
  return { fit: items.filter((_, i) => i % 5 !== 4), judge: items.filter((_, i) => i % 5 === 4) };
}

/** The sentences of the package's examples, and two more of each: with ten, some are kept for judging. */
export const example = {
  positive: [
    ...plays,
    "BRUTUS: We have been called so of many; not that our heads are some brown.",
    "ANGELO: Always obedient to your grace's will, I come to know your pleasure.",
  ],
  negative: [...tales, "The dog ran after the stick and brought it back.", "Her mom smiled and gave her a warm hug."],
} as const;
