/** What a value of a call must be. A rule is data and a function: it names what it takes, and reads a value or refuses. */
import type { Place } from "./place.ts";

/**
 * @template Out what reading gives: copies of lists, Maps of plain objects
 * @template In what may be given, so that the compiler can hold a rule against the type that callers see
 */
export interface Rule<out Out, in In = Out> {
  /** As a phrase: `a whole number of at least 1`. */
  readonly takes: string;
  /** Whether a value is of this kind at all, in range or not: decides between rules of which one is to read it. */
  suits(value: unknown): boolean;
  /** @throws SluiceError naming the call and the field */
  read(value: unknown, place: Place): Out;
  /** For the compiler alone. */
  readonly given?: (value: In) => void;
}

/** What a rule gives. */
export type ReadBy<R> = R extends { read(value: unknown, place: Place): infer Out } ? Out : never;

/**
 * A rule for values that pass a test as they are.
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
