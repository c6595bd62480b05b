/** A rule for a value of a call: data and a function. It names what it accepts, and reads a value or refuses it. */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import type { Place } from "./place.ts";

/**
 * @template Out the result of reading: copies of lists, Maps of plain objects
 * @template In what callers may pass, so that the compiler can compare a rule with the type that callers see
 */
export interface Rule<out Out, in In = Out> {
  /** What it accepts, as a phrase: `a whole number of at least 1`. */
  readonly takes: string;
  /** Whether a value is of this kind at all, in range or not: chooses between two rules. */
  suits(value: unknown): boolean;
  /** @throws SluiceError naming the call and the field */
  read(value: unknown, place: Place): Out;
  /** For the compiler only. */
  readonly given?: (value: In) => void;
}

/**
 * Reads a value by a rule. What the value itself throws when it is looked at (a getter, a proxy that was revoked, or that
 * hides an object of the platform's) becomes an error that names its place.
 */
export function readBy<Out>(rule: Rule<Out, never>, value: unknown, place: Place): Out {
  return looking(place, () => rule.read(value, place));
}

/** A step of reading that may call code of the value's. */
export function looking<Result>(place: Place, look: () => Result): Result {
  try {
    return look();
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause;
    const hint = "It throws when it is looked at: give a plain value.";
    throw place.error(`cannot be read: ${show(cause instanceof Error ? cause.message : cause)}`, { hint, cause });
  }
}

/** The result of a rule. */
export type ReadBy<R> = R extends { read(value: unknown, place: Place): infer Out } ? Out : never;

/**
 * A rule for values that pass a test and are returned unchanged.
 * @param suits default: the test
 */
export function test<Value>(
  takes: string,
  holds: (value: unknown) => boolean,
  suits: (value: unknown) => boolean = holds,
): Rule<Value> {
  return {
    takes,
    suits,
    read(value, place) {
      if (holds(value)) return value as Value;
      throw place.refuse(value, takes);
    },
  };
}

/** One of two rules: the first that suits the value reads it. */
export function either<A, InA, B, InB>(first: Rule<A, InA>, second: Rule<B, InB>): Rule<A | B, InA | InB> {
  const takes = `${first.takes}, or ${second.takes}`;
  return {
    takes,
    suits: (value) => first.suits(value) || second.suits(value),
    read(value, place): A | B {
      const rule: Rule<A | B, never> | undefined = [first, second].find((each) => each.suits(value));
      if (!rule) throw place.refuse(value, takes);
      return rule.read(value, place);
    },
  };
}
