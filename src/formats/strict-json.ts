/** JSON whose objects may not name a key twice: `JSON.parse` silently keeps the last, which could hide contents of a file. */
import { closingQuote } from "./json.ts";

/**
 * The first key that some object of a valid JSON text holds twice, or null.
 * @param text must have passed `JSON.parse`: only its strings and brackets are read
 */
export function duplicateKey(text: string): string | null {
  /** Keys seen in each open object; null for an open array. */
  const open: (Set<string> | null)[] = [];
  /** Whether the next string inside an object is a key. */
  let keyNext = false;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case 0x7b: // {
        open.push(new Set());
        keyNext = true;
        break;
      case 0x5b: // [
        open.push(null);
        keyNext = false;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        open.pop();
        keyNext = false;
        break;
      case 0x2c: // ,
        keyNext = open[open.length - 1] instanceof Set;
        break;
      case 0x22: {
        const end = closingQuote(text, i);
        const keys = open[open.length - 1];
        if (keyNext && keys) {
          const raw = text.slice(i + 1, end);
          // Parsed if it has escapes, since "\u0061" and "a" are one key.
          const key = raw.includes("\\") ? (JSON.parse(`"${raw}"`) as string) : raw;
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
