/** The functions that every template can call. */
import { checkAttribute } from "./compile-target.ts";
import { failure, TemplateError } from "./errors.ts";
import { dictFromKeys, makeDict } from "./methods.ts";
import { native, textArgument, wholeArgument } from "./natives.ts";
import { str } from "./repr.ts";
import type { Run } from "./run.ts";
import { strftime } from "./strftime.ts";
import { type Arguments, Callable, Custom, intOf, Namespace, Range, Tuple, type Value } from "./values.ts";

/** The sandbox's bound on ranges. */
const LONGEST_RANGE = 100_000;

function range(args: Arguments): Range {
  const numbers = args.map((arg) => {
    const number = intOf(arg);
    if (number === undefined) wholeArgument(arg);
    return number as bigint;
  });
  if (args.length < 1 || args.length > 3)
    throw failure("TypeError", `range expected 1 to 3 arguments, got ${args.length}`);
  const [first, second, step] = numbers as [bigint, bigint | undefined, bigint | undefined];
  if (step === 0n) throw failure("ValueError", "range() arg 3 must not be zero");
  const result = second === undefined ? new Range(0n, first, 1n) : new Range(first, second, step ?? 1n);
  if (result.length > LONGEST_RANGE) {
    throw failure(
      "OverflowError",
      `Range too big. The sandbox blocks ranges larger than MAX_RANGE (${LONGEST_RANGE}).`,
    );
  }
  return result;
}

/** `cycler(…)`: values in turn. */
class Cycler extends Custom {
  readonly type = "Cycler";
  readonly #items: Arguments;
  #place = 0;

  constructor(items: Arguments) {
    super();
    if (items.length === 0) throw failure("TypeError", "at least one item has to be provided");
    this.#items = items;
  }

  override attribute(_run: Run, name: string): Value | undefined {
    switch (name) {
      case "items":
        return new Tuple(this.#items);
      case "pos":
        return BigInt(this.#place);
      case "current":
        return this.#items[this.#place];
      case "next":
        return new Callable("<bound method Cycler.next>", () => {
          const item = this.#items[this.#place] as Value;
          this.#place = (this.#place + 1) % this.#items.length;
          return item;
        });
      case "reset":
        return new Callable("<bound method Cycler.reset>", () => {
          this.#place = 0;
          return null;
        });
      default:
        return undefined;
    }
  }
}

/** `joiner(…)`: nothing the first time, then the separator. */
class Joiner extends Custom {
  readonly type = "Joiner";
  readonly #separator: Value;
  #used = false;

  constructor(separator: Value) {
    super();
    this.#separator = separator;
  }

  override attribute(_run: Run, name: string): Value | undefined {
    if (name === "sep") return this.#separator;
    return name === "used" ? this.#used : undefined;
  }

  override call(): Value {
    if (this.#used) return this.#separator;
    this.#used = true;
    return "";
  }
}

const joiner = native("sep=', '", (_run, _self, separator: Value) => new Joiner(separator));
const fromKeys = native("iterable, value=None, /", (run, _self, keys: Value, value: Value) =>
  dictFromKeys(run, keys, value),
);
const raise = native("message", (run, _self, message: Value) => {
  throw new TemplateError("refused", "TemplateError", str(run, message));
});
const now = native("format", (run, _self, format: Value) => strftime(run, textArgument(format), run.now()));

/** The functions of Jinja's sandbox, and those that transformers adds. */
export const GLOBALS: ReadonlyMap<string, Value> = new Map<string, Value>([
  [
    "range",
    new Callable("<class 'range'>", (_run, args, keywords) => {
      if (keywords.size > 0) throw failure("TypeError", "range() takes no keyword arguments");
      return range(args);
    }),
  ],
  [
    "dict",
    new Callable(
      "<class 'dict'>",
      makeDict,
      "type",
      new Map([
        [
          "fromkeys",
          new Callable("<built-in method fromkeys>", (run, args, keywords) => fromKeys(run, null, args, keywords)),
        ],
      ]),
    ),
  ],
  [
    "namespace",
    new Callable("<class 'jinja2.utils.Namespace'>", (run, args, keywords) => {
      const attributes = makeDict(run, args, keywords);
      for (const key of attributes.keys()) if (typeof key === "string") checkAttribute(key);
      return new Namespace(attributes);
    }),
  ],
  ["cycler", new Callable("<class 'jinja2.utils.Cycler'>", (_run, args) => new Cycler(args), "type")],
  [
    "joiner",
    new Callable("<class 'jinja2.utils.Joiner'>", (run, args, keywords) => joiner(run, null, args, keywords), "type"),
  ],
  [
    "lipsum",
    new Callable("<function generate_lorem_ipsum at 0x0>", () => {
      throw failure("TypeError", "lipsum() makes random text and is not supported");
    }),
  ],
  [
    "raise_exception",
    new Callable("<function raise_exception at 0x0>", (run, args, keywords) => raise(run, null, args, keywords)),
  ],
  [
    "strftime_now",
    new Callable("<function strftime_now at 0x0>", (run, args, keywords) => now(run, null, args, keywords)),
  ],
]);
