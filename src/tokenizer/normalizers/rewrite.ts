/** Shared by several normalizers. */
import type { Normalize } from "../pipeline.ts";

/** A rewriting that treats a text's first characters as it would alone, or nearly so. */
export function byCharacter(rewrite: (text: string) => string): Normalize {
  return (piece) => {
    const text = rewrite(piece.text);
    if (piece.head === 0) return { text, head: 0 };
    return { text, head: Math.min(rewrite(piece.text.slice(0, piece.head)).length, text.length) };
  };
}

/** Lower case, character by character: unlike in JavaScript, a sigma at the end of a word is one as anywhere. */
export function lowerCase(text: string): string {
  return text.replaceAll("Σ", "σ").toLowerCase();
}
