/** Rules for objects with named fields, mainly options. An unknown name is refused, with a suggestion. */
import { foreignNames } from "./foreign-names.ts";
import { isOptions } from "./lists.ts";
import type { Place } from "./place.ts";
import { looking, type ReadBy, type Rule, readBy } from "./rule.ts";
import { nearest } from "./suggest.ts";

/** A field that must be given. */
export type Needed<R> = R & { readonly isNeeded: true };

export function needed<R extends object>(rule: R): Needed<R> {
  return { ...rule, isNeeded: true };
}

/** A rule for every field of a type: it accepts all that the type allows and returns nothing else. */
export type FieldsOf<T> = {
  readonly [K in keyof T]-?: Record<never, never> extends Pick<T, K>
    ? Rule<Exclude<T[K], undefined>> & { readonly isNeeded?: never }
    : Needed<Rule<T[K]>>;
};

/** The result of reading the fields of a type. */
export type Read<T, Fields> = {
  [K in keyof T]: K extends keyof Fields ? ReadBy<Fields[K]> : never;
};

/** A rule for an object, with the rules of its fields. */
export interface ObjectRule<Out, In> extends Rule<Out, In> {
  readonly fields: Readonly<Record<string, Rule<unknown, never> & { readonly isNeeded?: boolean | undefined }>>;
}

/**
 * A rule for objects of a type: `fields<GenerateOptions>()({ … })`. The compiler compares the fields with the type: none
 * may be missing or extra, and each must accept and return the type's value.
 * @param what names such an object in refusals
 * @param others whether fields without a rule are refused or kept
 */
export function fields<T>(what = "an object of options", others: "refused" | "kept" = "refused") {
  return <Fields extends FieldsOf<T>>(rules: Fields): ObjectRule<Read<T, Fields>, T> => {
    const all = rules as unknown as ObjectRule<unknown, never>["fields"];
    const names = Object.keys(all);
    return {
      takes: what,
      fields: all,
      suits: isOptions,
      read(value, place) {
        if (!isOptions(value)) throw place.refuse(value, what);
        const unknown = Object.keys(value).find((name) => !Object.hasOwn(all, name));
        if (unknown !== undefined && others === "refused") throw unknownName(place, unknown, names);
        const read: Record<string, unknown> = others === "kept" ? { ...value } : {};
        for (const name of names) {
          const rule = all[name] as (typeof all)[string];
          // Once: a getter may give something else the next time.
          const given = Object.hasOwn(read, name) ? read[name] : looking(place.field(name), () => value[name]);
          if (given !== undefined) read[name] = readBy(rule, given, place.field(name));
          else if (rule.isNeeded) throw place.field(name).refuse(given, rule.takes);
        }
        return read as Read<T, Fields>;
      },
    };
  };
}

function unknownName(place: Place, name: string, known: readonly string[]): Error {
  const meant = foreignNames.get(name);
  // No name is longer; the pattern would take the square of its length.
  const camel = name.slice(0, 200).replace(/[_-]+([a-z])/gi, (_, letter: string) => letter.toUpperCase());
  const suggested = [meant, camel].find((each) => each !== undefined && known.includes(each)) ?? nearest(camel, known);
  const all = known.length === 0 ? "There are none." : `There are ${known.join(", ")}.`;
  return place.field(name).error("is not known", { hint: suggested ? `Did you mean ${suggested}? ${all}` : all });
}
