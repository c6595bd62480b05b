/** The pre-tokenizer `Metaspace`: spaces written as a visible character, and the words that begin with it. */

import type { Piece, PreTokenize } from "../pipeline.ts";
import type { Step } from "../step.ts";
import { each } from "./cut.ts";
import { splitAtCharacters } from "./split.ts";

export function metaspace(step: Step): PreTokenize {
  const mark = step.character("replacement");
  // Files from before there were schemes use `add_prefix_space`.
  const scheme = step.oneOf(
    "prepend_scheme",
    ["always", "never", "first"],
    step.boolean("add_prefix_space", true) ? "always" : "never",
  );
  const cutsWords = step.boolean("split", true);

  return each((piece, add) => {
    const marked = withMarks(piece, mark);
    const isWanted = scheme === "always" || (scheme === "first" && piece.head > 0);
    const prefixed =
      isWanted && !marked.text.startsWith(mark)
        ? { text: mark + marked.text, head: marked.head === 0 ? 0 : mark.length + marked.head }
        : marked;
    if (cutsWords) splitAtCharacters(prefixed, mark, "MergedWithNext", add);
    else add(prefixed);
  });
}

function withMarks({ text, head }: Piece, mark: string): Piece {
  const replaced = text.replaceAll(" ", () => mark);
  return { text: replaced, head: mark.length === 1 ? head : text.slice(0, head).replaceAll(" ", () => mark).length };
}
