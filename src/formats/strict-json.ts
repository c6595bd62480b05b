/** JSON whose objects may not name a key twice: `JSON.parse` silently keeps the last, and a file could lie with that. */

import { closingQuote } from "./json.ts";

/**
 * The first key that some object of a valid JSON text holds twice, or null.
 * @param text must have passed `JSON.parse`: only its strings and brackets are looked at
 */
export function duplicateKey(text: string): string | null {
  /** Keys seen in each open object; null for an open array. */
  const open: (Set<string> | null)[] = [];
  /** Whether the next string inside an object is a key. */
  let keyNext = false;
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case "{":
        open.push(new Set());
        keyNext = true;
        break;
      case "[":
        open.push(null);
        keyNext = false;
        break;
      case "}":
      case "]":
        open.pop();
        keyNext = false;
        break;
      case ",":
        keyNext = open.at(-1) instanceof Set;
        break;
      case '"': {
        const end = closingQuote(text, i);
        const keys = open.at(-1);
        if (keyNext && keys) {
          // Parsed, since "\u0061" and "a" are one key.
          const key = JSON.parse(text.slice(i, end + 1)) as string;
          if (keys.has(key)) return key;
          keys.add(key);
          keyNext = false;
        }
        i = end;
      }
    }
  }
  return null;
}
