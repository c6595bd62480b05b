/** The pre-tokenizer `ByteLevel`: GPT-2's splits, and bytes written as characters. */
import { toByteCharacters } from "../byte-characters.ts";
import { compilePattern, type Pattern } from "../patterns/pattern.ts";
import type { Piece, PreTokenize } from "../pipeline.ts";
import { split } from "./split.ts";

/** GPT-2's words: endings after an apostrophe, letters, digits, other characters, white space. */
const WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
let words: Pattern | undefined;

export function byteLevel(addPrefixSpace: boolean, useWords: boolean): PreTokenize {
  words ??= compilePattern(WORDS);
  const cut = useWords ? split(words, "Isolated", false) : undefined;
  return (pieces) => {
    const spaced = addPrefixSpace ? pieces.map(withSpace) : [...pieces];
    return (cut ? cut(spaced) : spaced).map(({ text, head }) => ({
      text: toByteCharacters(text),
      head: head === 0 ? 0 : toByteCharacters(text.slice(0, head)).length,
    }));
  };
}

function withSpace(piece: Piece): Piece {
  if (piece.text === "" || piece.text.startsWith(" ")) return piece;
  return { text: ` ${piece.text}`, head: piece.head === 0 ? 0 : piece.head + 1 };
}
