/** Positions from outside, from a file or a caller: checked in form and size before anything is made of them. */
import type { SluiceError } from "../errors.ts";
import { show, showText } from "../show.ts";
import { isNowhere, type Positions, positionNames } from "./positions.ts";

/** Makes the error for a field: its name, what is wrong with it, what to do. */
export type RefuseField = (field: string, problem: string, hint?: string) => SluiceError;

/** How deep `any` and `not` may nest: what a device evaluates keeps a bit for each level in one word. */
const MOST_DEPTH = 16;

/** Parts that an expression may have: a device walks through them for every token. */
const MOST_PARTS = 1024;

/** Positions and token ids in one expression: more than any published vocabulary has. */
const MOST_NUMBERS = 1 << 19;

/** Absolute positions and ids are 32-bit integers on the device. */
const MOST_POSITION = 0xfffffffe;

const FORMS = `Known are ${positionNames.join(", ")}, {"from": i, "to": j}, a list of positions, {"tokens": [ids]}, {"any": [positions]} and {"not": positions}.`;

/**
 * @param refuse makes the error for a field, whose name begins with `positions`
 * @param vocabSize token ids must lie below; default: any id
 * @throws what `refuse` makes
 */
export function checkPositions(value: unknown, refuse: RefuseField, vocabSize?: number): Positions {
  new Checker(refuse, vocabSize).check(value, "positions", 0);
  const positions = value as Positions;
  if (isNowhere(positions))
    throw refuse("positions", `is ${show(value)}, which is nowhere: the stage would touch nothing`);
  return positions;
}

class Checker {
  readonly #refuse: RefuseField;
  readonly #vocabSize: number | undefined;
  #parts = 0;
  #numbers = 0;

  constructor(refuse: RefuseField, vocabSize: number | undefined) {
    this.#refuse = refuse;
    this.#vocabSize = vocabSize;
  }

  check(value: unknown, field: string, depth: number): void {
    if (depth > MOST_DEPTH) throw this.#refuse("positions", `nests any and not more than ${MOST_DEPTH} deep`);
    if (++this.#parts > MOST_PARTS) throw this.#refuse("positions", `has more than ${MOST_PARTS} parts`, "Use lists.");
    if (positionNames.some((name) => name === value)) return;
    if (Array.isArray(value)) {
      this.#checkNumbers(value, field, "positions", -MOST_POSITION, MOST_POSITION);
      return;
    }
    if (typeof value !== "object" || value === null) {
      throw this.#refuse(field, `is ${show(value)}, which is unknown`, FORMS);
    }
    const object = value as Readonly<Record<string, unknown>>;
    const keys = Object.keys(object);
    if (Object.hasOwn(object, "tokens")) {
      this.#only(keys, ["tokens"], field);
      const most = this.#vocabSize === undefined ? MOST_POSITION : this.#vocabSize - 1;
      this.#checkNumbers(object.tokens, `${field}.tokens`, "token ids", 0, most);
    } else if (Object.hasOwn(object, "any")) {
      this.#only(keys, ["any"], field);
      const { any } = object;
      if (!Array.isArray(any)) throw this.#refuse(`${field}.any`, `is ${show(any)}, not a list`);
      if (any.length === 0) throw this.#refuse(`${field}.any`, "is empty: the stage would touch nothing");
      for (let i = 0; i < any.length; i++) this.check(any[i], `${field}.any[${i}]`, depth + 1);
    } else if (Object.hasOwn(object, "not")) {
      this.#only(keys, ["not"], field);
      this.check(object.not, `${field}.not`, depth + 1);
    } else this.#checkRange(object, keys, field);
  }

  #checkRange(range: Readonly<Record<string, unknown>>, keys: readonly string[], field: string): void {
    if (!Object.hasOwn(range, "from")) {
      if (Object.hasOwn(range, "to")) throw this.#refuse(`${field}.from`, "is missing", FORMS);
      throw this.#refuse(field, `is ${show(range)}, which is unknown`, FORMS);
    }
    this.#only(keys, ["from", "to"], field);
    const { from, to } = range;
    if (!isPosition(from)) throw this.#refuse(`${field}.from`, `is ${show(from)}, not a whole number`);
    if (to !== undefined && to !== "P" && !isPosition(to)) {
      throw this.#refuse(`${field}.to`, `is ${show(to)}, neither a whole number nor "P"`);
    }
    if (isNowhere(range as unknown as Positions)) {
      throw this.#refuse(field, `is ${show(range)}, an empty range: the stage would touch nothing`);
    }
  }

  #checkNumbers(value: unknown, field: string, what: string, least: number, most: number): void {
    if (!Array.isArray(value)) throw this.#refuse(field, `is ${show(value)}, not a list of ${what}`);
    if (value.length === 0) throw this.#refuse(field, "is empty: the stage would touch nothing");
    this.#numbers += value.length;
    if (this.#numbers > MOST_NUMBERS) {
      throw this.#refuse("positions", `lists more than ${MOST_NUMBERS.toLocaleString("en")} numbers`);
    }
    // By index: `find` and the like pass over holes.
    for (let i = 0; i < value.length; i++) {
      const number: unknown = value[i];
      if (!Number.isSafeInteger(number)) throw this.#refuse(`${field}[${i}]`, `is ${show(number)}, not a whole number`);
      if ((number as number) < least || (number as number) > most) {
        throw this.#refuse(`${field}[${i}]`, `is ${show(number)}; ${what} here lie from ${least} to ${most}`);
      }
    }
  }

  #only(keys: readonly string[], known: readonly string[], field: string): void {
    const unknown = keys.find((key) => !known.includes(key));
    if (unknown === undefined) return;
    throw this.#refuse(`${field}.${showText(unknown)}`, "is not a field here", `The fields are ${known.join(", ")}.`);
  }
}

function isPosition(value: unknown): boolean {
  return Number.isSafeInteger(value) && Math.abs(value as number) <= MOST_POSITION;
}
