/** Two lists of sentences, as typed, pasted or dropped. */

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

export const example = {
  positive: [
    "First Citizen: Before we proceed any further, hear me speak.",
    "MENENIUS: Why, masters, my good friends, mine honest neighbours, will you undo yourselves?",
    "KING RICHARD: Now is the winter of our discontent made glorious summer.",
    "ROMEO: But, soft! what light through yonder window breaks?",
    "GLOUCESTER: My lord, I come to bear thee from the field.",
    "JULIET: O, be some other name! What's in a name?",
    "DUKE: What say you, sir? Thy sword hath done me wrong.",
    "QUEEN: Alas, my lord, thy grief hath made thee mad.",
    "BRUTUS: We have been called so of many; not that our heads are some brown.",
    "ANGELO: Always obedient to your grace's will, I come to know your pleasure.",
  ],
  negative: [
    "Once upon a time there was a little car named Beep.",
    "One day, a little girl named Lily found a needle in her room.",
    "Tom and his mom went to the park to play with the ball.",
    "The little fish was happy and swam near the shore.",
    "Sam had a big red toy and he liked to share it.",
    "The cat saw a bird in the tree and wanted to be friends.",
    "Mia was sad because her doll was lost.",
    "They all laughed and played together in the sun.",
    "The dog ran after the stick and brought it back.",
    "Her mom smiled and gave her a warm hug.",
  ],
} as const;
