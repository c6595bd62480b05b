/** The normalizer `Replace`. */
import type { Growth } from "../growth.ts";
import { Effort, type Pattern } from "../patterns/pattern.ts";
import type { Normalize } from "../pipeline.ts";

/** @param content literal text */
export function replace(pattern: Pattern, content: string, growth: Growth): Normalize {
  return (piece) => {
    const { text } = piece;
    if (text === "") return piece;
    const matches = pattern.matches(text, new Effort(text.length, pattern.size));
    if (matches.length === 0) return piece;
    growth.check((matches.length / 2) * content.length);
    const parts: string[] = [];
    let done = 0;
    let head = piece.head;
    for (let match = 0; match < matches.length; match += 2) {
      const start = matches[match] as number;
      const end = matches[match + 1] as number;
      parts.push(text.slice(done, start), content);
      done = end;
      // The replacement of a match descends from its last character, or, if the match is empty, from the one before.
      if (piece.head === 0) continue;
      if (end <= piece.head) head += content.length - (end - start);
      else if (start < piece.head) head -= piece.head - start;
    }
    parts.push(text.slice(done));
    return { text: parts.join(""), head };
  };
}
