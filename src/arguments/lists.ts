/** Rules for lists of values, mainly token ids, and for tables with names. */
import { either, type ReadBy, type Rule } from "./rule.ts";
import { text } from "./rules.ts";

/** A caller's list: an array or a typed array. */
export type TokenIds = ArrayLike<number> | ArrayLike<bigint>;

/** A table by name, as a Map or a plain object. */
export type Table<Value> = ReadonlyMap<string, Value> | Readonly<Record<string, Value>>;

/** An array, typed array or other list of indexed values; a text is not a list. */
export function isList(value: unknown): value is ArrayLike<unknown> {
  if (typeof value !== "object" || value === null || value instanceof DataView) return false;
  const { length } = value as { readonly length?: unknown };
  return Number.isSafeInteger(length) && (length as number) >= 0;
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
      if (!isList(value) || value.length < least || value.length > (most ?? value.length)) {
        throw place.refuse(value, takes);
      }
      const list: Out[] = [];
      for (let i = 0; i < value.length; i++) list.push(item.read(value[i], place.item(i)));
      return list;
    },
  };
}

/** Ids of tokens, copied into an array. The model checks whether they are in its vocabulary. */
export const tokens: Rule<readonly number[], TokenIds> = {
  takes: "a list of token ids",
  suits: isList,
  read(value, place) {
    if (!isList(value)) throw place.refuse(value, this.takes);
    const ids: number[] = [];
    for (let i = 0; i < value.length; i++) {
      const given = value[i];
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
    if (!isList(value)) throw place.refuse(value, this.takes);
    for (let i = 0; i < value.length; i++) {
      if (typeof value[i] === "number" && Number.isFinite(Math.fround(value[i] as number))) continue;
      throw place.item(i).refuse(value[i], "a finite number that float32 holds");
    }
    return Float32Array.from(value as ArrayLike<number>);
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
      for (const [name, each] of value instanceof Map ? value : Object.entries(value)) {
        if (typeof name !== "string") throw place.refuse(name, "a text as each name");
        table.set(name, item.read(each, place.field(name)));
      }
      return table;
    },
  };
}

/** A Map, or an object that is neither a list nor of a platform class. */
export function isTable(value: unknown): value is Map<unknown, unknown> | Readonly<Record<string, unknown>> {
  return value instanceof Map || isOptions(value);
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
      if (!isList(value) || value.length !== rules.length) throw place.refuse(value, takes);
      return rules.map((rule, i) => rule.read(value[i], place.item(i))) as {
        readonly [I in keyof Rules]: ReadBy<Rules[I]>;
      };
    },
  };
}
