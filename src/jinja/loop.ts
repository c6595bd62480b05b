/** The variable `loop`. */
import { failure } from "./errors.ts";
import { IterableCustom, iterate, sizeOf } from "./iterate.ts";
import { equals } from "./operators.ts";
import type { Run } from "./run.ts";
import { type Arguments, Callable, DONE, Iteration, Tuple, Undefined, type Value } from "./values.ts";

/** Renders a recursive loop over other items. */
export type Recurse = (items: Value, depth: number) => Value;

export class Loop extends IterableCustom {
  readonly type = "LoopContext";
  readonly #iterable: Value;
  readonly #recurse: Recurse | null;
  readonly #depth: number;
  #source: Iteration;
  #index = -1;
  #length: number | undefined;
  #after: Value | undefined;
  #current: Value | undefined;
  #before: Value | undefined;
  #changed: Arguments | undefined;

  /** @param depth depth of a recursive loop, from 0 */
  constructor(run: Run, iterable: Value, recurse: Recurse | null, depth: number) {
    super();
    this.#iterable = iterable;
    this.#source = iterate(run, iterable);
    this.#recurse = recurse;
    this.#depth = depth;
  }

  /** Advances to the next item; undefined at the end. */
  advance(): Value | undefined {
    let item: Value | typeof DONE | undefined = this.#after;
    this.#after = undefined;
    if (item === undefined) item = this.#source.next();
    if (item === DONE) return undefined;
    this.#index++;
    this.#before = this.#current;
    this.#current = item;
    return item;
  }

  override iterate(): Iteration {
    return new Iteration(() => {
      const item = this.advance();
      return item === undefined ? DONE : new Tuple([item, this]);
    });
  }

  override call(run: Run, args: Arguments): Value {
    const [items] = args;
    if (!this.#recurse) throw failure("TypeError", "The loop must have the 'recursive' marker to be called.");
    if (args.length !== 1 || items === undefined) throw failure("TypeError", "loop() takes one argument");
    const recurse = this.#recurse;
    return run.nested(() => recurse(items, this.#depth + 1));
  }

  override attribute(run: Run, name: string): Value | undefined {
    const index = this.#index;
    switch (name) {
      case "index":
        return BigInt(index + 1);
      case "index0":
        return BigInt(index);
      case "first":
        return index === 0;
      case "last":
        return this.#peek() === undefined;
      case "length":
      case "__len__":
        return BigInt(this.#measure(run));
      case "revindex":
        return BigInt(this.#measure(run) - index);
      case "revindex0":
        return BigInt(this.#measure(run) - index - 1);
      case "previtem":
        return this.#before === undefined ? new Undefined("there is no previous item") : this.#before;
      case "nextitem": {
        const next = this.#peek();
        return next === undefined ? new Undefined("there is no next item") : next;
      }
      case "depth":
        return BigInt(this.#depth + 1);
      case "depth0":
        return BigInt(this.#depth);
      case "cycle":
        return new Callable("<bound method LoopContext.cycle>", (_run, args) => this.#cycle(args), "method");
      case "changed":
        return new Callable(
          "<bound method LoopContext.changed>",
          (inRun, args) => this.#isChanged(inRun, args),
          "method",
        );
      case "__repr__":
        return `<LoopContext ${index + 1}/${this.#measure(run)}>`;
      default:
        return undefined;
    }
  }

  #peek(): Value | undefined {
    if (this.#after === undefined) {
      const item = this.#source.next();
      this.#after = item === DONE ? undefined : item;
    }
    return this.#after;
  }

  #measure(run: Run): number {
    this.#length ??= sizeOf(run, this.#iterable);
    if (this.#length === undefined) {
      const rest: Value[] = [];
      for (let item = this.#source.next(); item !== DONE; item = this.#source.next()) {
        run.spend(1);
        rest.push(item);
      }
      let at = 0;
      this.#source = new Iteration(() => (at < rest.length ? (rest[at++] as Value) : DONE));
      this.#length = rest.length + this.#index + 1 + (this.#after === undefined ? 0 : 1);
    }
    return this.#length;
  }

  #cycle(args: Arguments): Value {
    if (args.length === 0) throw failure("TypeError", "no items for cycling given");
    return args[this.#index % args.length] as Value;
  }

  #isChanged(run: Run, args: Arguments): boolean {
    const last = this.#changed;
    if (last && equals(run, new Tuple(last), new Tuple(args))) return false;
    this.#changed = args;
    return true;
  }
}
