/** Sets of Unicode code points. */

/** 65,536 bits, one per code point of a plane. */
export type Bitmap = Uint32Array;

/** First and last code point of a range. */
export type CodeRange = readonly [number, number];

const PLANE = 0x10000;
const WORDS = PLANE / 32;
const SURROGATES: CodeRange = [0xd800, 0xdfff];

/**
 * A set of code points, as a bitmap per plane. Bitmaps are made when a text first needs them, so that a set costs
 * 8 KiB and no time for the sixteen planes that most texts never reach.
 */
export class CodeSet {
  readonly #make: (plane: number) => Bitmap;
  readonly #planes: (Bitmap | undefined)[] = [];

  private constructor(make: (plane: number) => Bitmap) {
    this.#make = make;
  }

  static ofRanges(ranges: readonly CodeRange[]): CodeSet {
    return new CodeSet((plane) => {
      const bits = new Uint32Array(WORDS);
      for (const [first, last] of ranges) addRange(bits, first - plane * PLANE, last - plane * PLANE);
      return bits;
    });
  }

  static of(...codes: number[]): CodeSet {
    return CodeSet.ofRanges(codes.map((code) => [code, code]));
  }

  /**
   * The characters that one of the host's own character classes matches, such as `\p{L}`. The host's version of Unicode
   * may be newer than the one in Rust's libraries: a code point unassigned there may then be a letter here. This is
   * accepted.
   * @param characterClass the text between the brackets of a class in JavaScript's syntax with the flag `u`
   * @throws SyntaxError if the host does not know it
   */
  static ofHost(characterClass: string): CodeSet {
    const runs = new RegExp(`[${characterClass}]+`, "gu");
    return new CodeSet((plane) => {
      const bits = new Uint32Array(WORDS);
      const bytes = plane === 0 ? 1 : 2;
      for (const [first, last] of plane === 0 ? BASIC_CHARACTERS : [WHOLE_PLANE]) {
        for (const run of textOf(plane * PLANE + first, plane * PLANE + last).matchAll(runs)) {
          const start = first + run.index / bytes;
          addRange(bits, start, start + run[0].length / bytes - 1);
        }
      }
      return bits;
    });
  }

  static union(sets: readonly CodeSet[]): CodeSet {
    const [only] = sets;
    if (only && sets.length === 1) return only;
    return new CodeSet((plane) => {
      const bits = new Uint32Array(WORDS);
      for (const set of sets) {
        const other = set.plane(plane);
        for (let word = 0; word < WORDS; word++) bits[word] = (bits[word] as number) | (other[word] as number);
      }
      return bits;
    });
  }

  and(other: CodeSet): CodeSet {
    return new CodeSet((plane) => {
      const theirs = other.plane(plane);
      return this.plane(plane).map((bits, word) => bits & (theirs[word] as number));
    });
  }

  /** All other code points. */
  not(): CodeSet {
    return new CodeSet((plane) => this.plane(plane).map((bits) => ~bits));
  }

  /** This set, and all members of each group of which it has one. */
  withGroups(groups: readonly (readonly number[])[]): CodeSet {
    return new CodeSet((plane) => {
      const bits = this.plane(plane).slice();
      for (const group of groups) {
        if (!group.some((code) => this.has(code))) continue;
        for (const code of group) if (code >>> 16 === plane) addRange(bits, code % PLANE, code % PLANE);
      }
      return bits;
    });
  }

  /** @param plane 0 to 16 */
  plane(plane: number): Bitmap {
    let bits = this.#planes[plane];
    if (!bits) {
      bits = this.#make(plane);
      this.#planes[plane] = bits;
    }
    return bits;
  }

  has(code: number): boolean {
    return (((this.plane(code >>> 16)[(code & 0xffff) >>> 5] as number) >>> (code & 31)) & 1) === 1;
  }
}

/** Adds a range that may reach beyond the plane on both sides. */
function addRange(bits: Bitmap, first: number, last: number): void {
  const end = Math.min(last, PLANE - 1);
  for (let code = Math.max(first, 0); code <= end; code++) {
    if ((code & 31) === 0 && code + 31 <= end) {
      bits[code >>> 5] = 0xffffffff;
      code += 31;
    } else bits[code >>> 5] = (bits[code >>> 5] as number) | (1 << (code & 31));
  }
}

const WHOLE_PLANE: CodeRange = [0, PLANE - 1];
const BASIC_CHARACTERS: readonly CodeRange[] = [
  [0, SURROGATES[0] - 1],
  [SURROGATES[1] + 1, PLANE - 1],
];

/** All characters of a range within a plane, in order, as UTF-16. */
function textOf(first: number, last: number): string {
  const length = last - first + 1;
  const units = new Uint16Array(first < PLANE ? length : 2 * length);
  if (first < PLANE) for (let index = 0; index < length; index++) units[index] = first + index;
  else {
    for (let index = 0; index < length; index++) {
      const code = first + index - PLANE;
      units[2 * index] = 0xd800 + (code >>> 10);
      units[2 * index + 1] = 0xdc00 + (code & 0x3ff);
    }
  }
  return new TextDecoder("utf-16le", { ignoreBOM: true }).decode(units);
}
