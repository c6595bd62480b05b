/** The door of a public function: its arguments in order, each by a rule. */
import type { ObjectRule } from "./fields.ts";
import { Place } from "./place.ts";
import { type ReadBy, type Rule, readBy } from "./rule.ts";

/** An argument: its name and its rule. */
export type Argument = readonly [name: string, rule: Rule<unknown, never> & { readonly isOptional?: boolean }];

/** The types of an entry's arguments after reading. */
export type Arguments<All extends readonly Argument[]> = { readonly [I in keyof All]: ReadBy<All[I][1]> };

export interface Entry<All extends readonly Argument[]> {
  readonly call: string;
  readonly arguments: All;
  /**
   * Reads a caller's arguments, in order.
   * @throws SluiceError `usage` naming the call and the field, `bad_tokens` for what cannot be a token id
   */
  read(...given: { readonly [I in keyof All]: unknown }): Arguments<All>;
}

/**
 * @param call the call without its object: `generate`
 * @param all the arguments
 */
export function entry<const All extends readonly Argument[]>(call: string, ...all: All): Entry<All> {
  return {
    call,
    arguments: all,
    read: (...given) =>
      all.map(([name, rule], i) => {
        const value: unknown = given[i];
        if (value === undefined && rule.isOptional) return undefined;
        return readBy(rule, value, new Place(call, name));
      }) as unknown as Arguments<All>,
  };
}

/** An optional argument. */
export function optional<Out, In>(rule: Rule<Out, In>): Rule<Out | undefined, In> & { isOptional: true } {
  return { ...rule, isOptional: true };
}

/** The options argument, which is optional as a whole. */
export function options<Out, In>(
  rule: ObjectRule<Out, In>,
  name = "options",
): readonly [name: string, rule: ObjectRule<Out, In>] {
  return [name, { ...rule, read: (value, place) => rule.read(value === undefined ? {} : value, place) }];
}
