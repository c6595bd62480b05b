/**
 * JSON as Python's json module reads and writes it: NaN, Infinity and -Infinity are numbers, and the last value of a
 * repeated key counts. Nesting is bounded, so that readers of the result may recurse.
 */
import { SluiceError } from "../errors.ts";

/** Maximum nesting. Python fails near its limit of 1,000 recursions; files of models stay below ten. */
export const MAX_NESTING = 512;

/**
 * @param where names the file in errors
 * @throws `bad_file` for what is not JSON, or nested deeper than {@link MAX_NESTING}
 */
export function parseJson(text: string, where: string): unknown {
  if (nesting(text, MAX_NESTING) > MAX_NESTING) {
    throw new SluiceError("bad_file", `${where}: its JSON is nested more than ${MAX_NESTING} levels deep`, {
      hint: "No model's file is. Download it again from a trusted place.",
    });
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    const value = parseWithPythonNumbers(text);
    if (value !== undefined) return value;
    throw new SluiceError("bad_file", `${where}: not valid JSON: ${(cause as Error).message}`, {
      hint: "The file is damaged or cut short. Download it again.",
      cause,
    });
  }
}

/** Undefined for a text that is not even such JSON. */
function parseWithPythonNumbers(text: string): unknown {
  // JSON has no NaN, so a text that occurs nowhere in the file replaces it while it is parsed.
  let nan = "NaN";
  while (text.includes(nan)) nan += "~";
  let plain = "";
  let copied = 0;
  const replace = (begin: number, word: string, by: string): void => {
    plain += text.slice(copied, begin) + by;
    copied = begin + word.length;
  };
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '"') i = closingQuote(text, i);
    // A number beyond the largest is read as Infinity.
    else if (text.startsWith("Infinity", i)) replace(i, "Infinity", "1e999");
    else if (text.startsWith("NaN", i)) replace(i, "NaN", `"${nan}"`);
  }
  if (copied === 0) return undefined;
  try {
    return JSON.parse(plain + text.slice(copied), (_, value: unknown) => (value === nan ? Number.NaN : value));
  } catch {
    // The caller reports the fault in the file's own text.
    return undefined;
  }
}

/** JSON, indented, in which numbers that are not finite have Python's names. */
export function pythonJson(value: unknown): string {
  // A text that occurs nowhere in the value replaces such numbers while it is written.
  const plain = JSON.stringify(value);
  let mark = "~";
  while (plain.includes(mark)) mark += "~";
  const marked = (_: string, item: unknown) =>
    typeof item === "number" && !Number.isFinite(item) ? `${mark}${item}` : item;
  return JSON.stringify(value, marked, 2).replaceAll(new RegExp(`"${mark}(-?Infinity|NaN)"`, "g"), "$1");
}

/** How deep the brackets outside strings are nested; stops counting once they are deeper than `most`. */
export function nesting(text: string, most: number): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length && deepest <= most; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) i = closingQuote(text, i);
    else if (c === OPEN_BRACKET || c === OPEN_BRACE) deepest = Math.max(deepest, ++depth);
    else if (c === CLOSE_BRACKET || c === CLOSE_BRACE) depth--;
  }
  return deepest;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Index of the quote that ends the string which begins at `begin`; the text's length if none does. */
export function closingQuote(text: string, begin: number): number {
  let end = begin + 1;
  while (end < text.length) {
    const c = text.charCodeAt(end);
    if (c === QUOTE) return end;
    end += c === BACKSLASH ? 2 : 1;
  }
  return text.length;
}
