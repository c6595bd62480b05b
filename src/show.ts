/**
 * Prints values from outside: from files, servers and callers. The result is always one short
 * line, made in little time: a message must not be flooded, and a value nested a million levels deep must not end the process,
 * as `JSON.stringify` does.
 */

/** Maximum characters in a message. */
const MOST_CHARACTERS = 80;

/**
 * A value on one line, as JSON writes it, cut short with `…`. NaN, Infinity, functions and objects of a class, for which
 * JSON has no form, are named.
 *
 * It visits no more of the value than it prints, calls none of its methods or getters, and accepts cycles.
 * @param most characters of the result, at least 2
 */
export function show(value: unknown, most = MOST_CHARACTERS): string {
  const printer = new Printer(most);
  printer.add(value);
  return printer.line();
}

/**
 * A name or text from outside, without quotes: on one line, cut short with `…`.
 * @param most characters of the result, at least 2
 */
export function showText(text: string, most = MOST_CHARACTERS): string {
  const quoted = quote(text.slice(0, most + 1)).slice(1, -1);
  return cut(quoted, most);
}

/**
 * The text of a file's value that should be a word: texts and numbers as they are, anything else as {@link show} has it,
 * since objects of strangers can have a `toString` that is not a function.
 */
export function textIn(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : show(value, 60);
}

/**
 * A sentence from outside that was made for people, such as another process's error: on one line, cut short with `…`. Quotes
 * and backslashes stay as they are.
 * @param most characters of the result, at least 2
 */
export function showSentence(text: string, most: number): string {
  const line = text
    .slice(0, most + 1)
    .replace(/\p{Cc}/gu, escaped)
    .replace(UNPRINTABLE, escaped);
  return cut(line, most);
}

/** Characters that JSON does not escape and that move the cursor, or colour or reorder a terminal's text. */
const UNPRINTABLE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function quote(text: string): string {
  return JSON.stringify(text).replace(UNPRINTABLE, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  const kept = text.slice(0, most - 1);
  // Half of a surrogate pair is not a character.
  return `${/[\ud800-\udbff]$/.test(kept) ? kept.slice(0, -1) : kept}…`;
}

class Printer {
  readonly #most: number;
  #text = "";

  constructor(most: number) {
    this.#most = most;
  }

  line(): string {
    return cut(this.#text, this.#most);
  }

  /** Whether further text would not be shown. It also bounds the nesting: each level prints a bracket first. */
  get #isFull(): boolean {
    return this.#text.length > this.#most;
  }

  add(value: unknown): void {
    if (typeof value === "string") this.#addString(value);
    else if (typeof value === "object" && value !== null) this.#lookAt(value);
    else this.#text += nameOf(value);
  }

  #addString(text: string): void {
    // One character more than is shown, so that a cut is noticed.
    this.#text += quote(text.slice(0, this.#most + 1));
  }

  /** A proxy may throw whatever is asked of it. */
  #lookAt(value: object): void {
    const before = this.#text;
    try {
      this.#addObject(value);
    } catch {
      this.#text = `${before}an object that cannot be looked at`;
    }
  }

  #addObject(value: object): void {
    if (Array.isArray(value)) this.#addAll("[", "]", value.length, (i) => this.add(value[i]));
    else if (!isPlain(value)) this.#text += describe(value);
    else {
      const keys = Object.keys(value);
      this.#addAll("{", "}", keys.length, (i) => {
        const key = keys[i] as string;
        this.#addString(key);
        this.#text += ":";
        const property = Object.getOwnPropertyDescriptor(value, key);
        if (property && "value" in property) this.add(property.value);
        else this.#text += "…";
      });
    }
  }

  #addAll(open: string, close: string, count: number, addItem: (index: number) => void): void {
    this.#text += open;
    for (let i = 0; i < count && !this.#isFull; i++) {
      if (i > 0) this.#text += ",";
      addItem(i);
    }
    this.#text += close;
  }
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** A value that is neither a string nor an object. */
function nameOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "function") return "a function";
  if (typeof value === "bigint") return value < 10n ** 30n && value > -(10n ** 30n) ? `${value}n` : "a huge bigint";
  return String(value);
}

/** An object of a class: its name, and its size if known. */
function describe(value: object): string {
  if (ArrayBuffer.isView(value) && "length" in value) return `${classOf(value)}(${String(value.length)})`;
  if (value instanceof Map || value instanceof Set) return `${classOf(value)}(${value.size})`;
  return classOf(value);
}

function classOf(value: object): string {
  const text = Object.prototype.toString.call(value).slice("[object ".length, -1);
  return text === "Object" ? "an object of a class" : text;
}
