/** Rules for lists of values, mainly token ids, and for tables with names. */
import { isDetached, isKind } from "./buffers.ts";
import { either, type ReadBy, type Rule, readBy } from "./rule.ts";
import { text } from "./rules.ts";

/** A caller's list: an array or a typed array. */
export type TokenIds = ArrayLike<number> | ArrayLike<bigint>;

/** A table by name, as a Map or a plain object. */
export type Table<Value> = ReadonlyMap<string, Value> | Readonly<Record<string, Value>>;

/** Of more values, no copy is made. */
const MOST_VALUES = 2 ** 28;

/** An array, typed array or other list of indexed values; a text is not a list. */
export function isList(value: unknown): value is ArrayLike<unknown> {
  return lengthOf(value) !== undefined;
}

/** The length of a list, read once: what is not the platform's own may give another the next time. */
function lengthOf(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null || isKind(value, "DataView") || isDetached(value)) return undefined;
  const { length } = value as { readonly length?: unknown };
  const isLength = Number.isSafeInteger(length) && (length as number) >= 0 && (length as number) <= MOST_VALUES;
  return isLength ? (length as number) : undefined;
}

/** An array, copied. */
export function listOf<Out, In>(
  item: Rule<Out, In>,
  {
    least = 0,
    most,
    each = item.takes,
  }: { readonly least?: number; readonly most?: number; readonly each?: string } = {},
): Rule<readonly Out[], readonly In[]> {
  const takes = `a list${least > 0 ? ` of at least ${least}` : ""}${most === undefined ? "" : ` of at most ${most}`}, each ${each}`;
  return {
    takes,
    suits: isList,
    read(value, place) {
      const length = lengthOf(value);
      if (length === undefined || length < least || length > (most ?? length)) throw place.refuse(value, takes);
      const list: Out[] = [];
      for (let i = 0; i < length; i++) list.push(readBy(item, (value as ArrayLike<unknown>)[i], place.item(i)));
      return list;
    },
  };
}

/** Ids of tokens, copied into an array. The model checks whether they are in its vocabulary. */
export const tokens: Rule<readonly number[], TokenIds> = {
  takes: "a list of token ids",
  suits: isList,
  read(value, place) {
    const length = lengthOf(value);
    if (length === undefined) throw place.refuse(value, this.takes);
    const ids: number[] = [];
    for (let i = 0; i < length; i++) {
      const given = (value as ArrayLike<unknown>)[i];
      const id = typeof given === "bigint" ? Number(given) : given;
      if (!Number.isSafeInteger(id) || (id as number) < 0) {
        throw place.item(i).refuse(given, "a token id, a whole number of at least 0", undefined, "bad_tokens");
      }
      ids.push(id as number);
    }
    return ids;
  },
};

/** A text, or ids of tokens. */
export const prompt: Rule<string | readonly number[], string | TokenIds> = either(text, tokens);

/** The numbers of any list as float32, copied. */
export const floats: Rule<Float32Array<ArrayBuffer>, ArrayLike<number>> = {
  takes: "a list of finite numbers",
  suits: isList,
  read(value, place) {
    const length = lengthOf(value);
    if (length === undefined) throw place.refuse(value, this.takes);
    const list = value as ArrayLike<unknown>;
    // One value first: a list that claims a length it does not have gets no room for it.
    const copy = new Float32Array(length > 0 && typeof list[0] === "number" ? length : 0);
    for (let i = 0; i < length; i++) {
      const given = list[i];
      if (typeof given !== "number" || !Number.isFinite(Math.fround(given))) {
        throw place.item(i).refuse(given, "a finite number that float32 holds");
      }
      copy[i] = given;
    }
    return copy;
  },
};

/** A Map, or one made of a plain object's own fields: JavaScript's built-in names are not special in it. */
export function tableOf<Out, In>(item: Rule<Out, In>): Rule<ReadonlyMap<string, Out>, Table<In>> {
  const takes = `a Map or an object, of which each value is ${item.takes}`;
  return {
    takes,
    suits: isTable,
    read(value, place) {
      if (!isTable(value)) throw place.refuse(value, takes);
      const table = new Map<string, Out>();
      for (const [name, each] of isKind(value, "Map") ? (value as Map<unknown, unknown>) : Object.entries(value)) {
        if (typeof name !== "string") throw place.refuse(name, "a text as each name");
        table.set(name, readBy(item, each, place.field(name)));
      }
      return table;
    },
  };
}

/** A Map, or an object that is neither a list nor of a platform class. */
export function isTable(value: unknown): value is Map<unknown, unknown> | Readonly<Record<string, unknown>> {
  return isKind(value, "Map") || isOptions(value);
}

/** An object that can hold options or fields: of any realm, but not of a platform class. */
export function isOptions(value: unknown): value is Readonly<Record<string, unknown>> {
  return Object.prototype.toString.call(value) === "[object Object]";
}

/** A list of a fixed length, each item by its own rule. */
export function tuple<const Rules extends readonly Rule<unknown, never>[]>(
  takes: string,
  ...rules: Rules
): Rule<{ readonly [I in keyof Rules]: ReadBy<Rules[I]> }> {
  return {
    takes,
    suits: isList,
    read(value, place) {
      if (lengthOf(value) !== rules.length) throw place.refuse(value, takes);
      return rules.map((rule, i) => readBy(rule, (value as ArrayLike<unknown>)[i], place.item(i))) as {
        readonly [I in keyof Rules]: ReadBy<Rules[I]>;
      };
    },
  };
}
