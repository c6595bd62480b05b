/** Where the values of a JSON text stand, so that one can be changed without printing the others anew. */

/** Characters [begin, end) of a text. */
export interface Span {
  readonly begin: number;
  readonly end: number;
}

/** A value of a text. */
export interface Place extends Span {
  /** The value; with its key [begin, end) is more. */
  readonly value: Span;
  /** Of an object's field. */
  readonly key: Span | null;
  /** What stands beside it in its list or object, itself included. */
  readonly siblings: readonly Place[];
  readonly hasParts: boolean;
}

/** A text with its places, of which long lists give a sample: a vocabulary would otherwise take nearly all edits. */
export interface JsonText {
  readonly text: string;
  readonly places: readonly Place[];
}

const MOST_OF_A_LIST = 40;

/** What an earlier edit has nested this deeply is left as it is: walking through it would need a stack of its own. */
const DEEP = /\[{1000}|(?:\{"a":){1000}/;

/** @returns null for what is not JSON, which no edit of JSON reaches */
export function readJsonText(text: string): JsonText | null {
  if (DEEP.test(text)) return null;
  try {
    JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  const places: Place[] = [];
  const siblings: Place[] = [];
  new Scanner(text, places).value(0, null, siblings, 0);
  const root = siblings[0] as Place;
  return { text, places: [root, ...places] };
}

/** A number, `true`, `false` or `null`. */
const SCALAR = /[^\s,\]}]*/y;

/** Walks through a text that is known to be JSON. */
class Scanner {
  readonly #text: string;
  readonly #places: Place[];

  constructor(text: string, places: Place[]) {
    this.#text = text;
    this.#places = places;
  }

  /** Adds the value at `at` to its siblings. @returns where it ends */
  value(at: number, key: Span | null, siblings: Place[], begin: number): number {
    const first = this.#blank(at);
    const sign = this.#text.charCodeAt(first);
    const isList = sign === 0x5b;
    const parts: Place[] = [];
    const hasParts = isList || sign === 0x7b;
    let end = first;
    if (hasParts) end = this.#parts(first + 1, isList, parts);
    else if (sign === 0x22) end = this.#string(first);
    else end = this.#scalar(first);
    siblings.push({ begin: key ? begin : first, end, value: { begin: first, end }, key, siblings, hasParts });
    return end;
  }

  #parts(at: number, isList: boolean, parts: Place[]): number {
    const before = this.#places.length;
    const ends: number[] = [];
    let here = this.#blank(at);
    while (this.#text.charCodeAt(here) !== (isList ? 0x5d : 0x7d)) {
      const begin = here;
      let key: Span | null = null;
      if (!isList) {
        key = { begin, end: this.#string(begin) };
        here = this.#blank(key.end) + 1;
      }
      here = this.#blank(this.value(here, key, parts, begin));
      ends.push(this.#places.length);
      if (this.#text.charCodeAt(here) === 0x2c) here = this.#blank(here + 1);
    }
    this.#sample(before, ends, parts);
    return here + 1;
  }

  /** Keeps some of the parts, and what is inside these. @param ends where the places inside each part end */
  #sample(before: number, ends: readonly number[], parts: readonly Place[]): void {
    const step = Math.max(1, Math.ceil(parts.length / MOST_OF_A_LIST));
    const kept: Place[] = [];
    for (let i = 0; i < parts.length; i += step) {
      kept.push(parts[i] as Place, ...this.#places.slice(ends[i - 1] ?? before, ends[i]));
    }
    this.#places.length = before;
    for (const place of kept) this.#places.push(place);
  }

  #scalar(at: number): number {
    SCALAR.lastIndex = at;
    SCALAR.test(this.#text);
    return SCALAR.lastIndex;
  }

  #string(at: number): number {
    let end = at;
    let slashes: number;
    do {
      end = this.#text.indexOf('"', end + 1);
      slashes = 0;
      while (this.#text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++;
    } while (slashes % 2 === 1);
    return end + 1;
  }

  #blank(at: number): number {
    let here = at;
    for (let sign = this.#text.charCodeAt(here); sign === 32 || (sign >= 9 && sign <= 13); ) {
      sign = this.#text.charCodeAt(++here);
    }
    return here;
  }
}
