/** The state of a template's function while it runs: its variables and its output. */
import type { Run } from "./run.ts";
import type { FunctionScope, Scope, Slot } from "./scopes.ts";
import { Undefined, type Value } from "./values.ts";

/** The variables of a template as a whole. */
export class Context {
  /** Set by the template itself, at its top level. */
  readonly own = new Map<string, Value>();
  readonly #given: ReadonlyMap<string, Value>;

  /** @param given the caller's variables, and the global functions */
  constructor(given: ReadonlyMap<string, Value>) {
    this.#given = given;
  }

  resolve(name: string): Value | undefined {
    const own = this.own.get(name);
    return own === undefined ? this.#given.get(name) : own;
  }

  /** The same with more variables. */
  derived(locals: Iterable<readonly [string, Value]>): Context {
    return new Context(new Map([...this.#given, ...this.own, ...locals]));
  }
}

export class Activation {
  readonly run: Run;
  readonly context: Context;
  readonly parent: Activation | null;
  /** Variables by slot; undefined if not set. */
  readonly variables: (Value | undefined)[];
  /** The output so far. Blocks that capture text replace it meanwhile. */
  text = "";

  constructor(run: Run, context: Context, parent: Activation | null, scope: FunctionScope) {
    this.run = run;
    this.context = context;
    this.parent = parent;
    this.variables = new Array<Value | undefined>(scope.slots);
  }

  write(text: string): void {
    this.text += text;
    this.run.admitText(this.text.length);
  }
}

/** Reads a variable from a function of this scope. */
export function reader(slot: Slot, from: FunctionScope): (at: Activation) => Value | undefined {
  const { index } = slot;
  const distance = from.depth - slot.owner.depth;
  if (distance === 0) return (at) => at.variables[index];
  if (distance === 1) return (at) => at.parent?.variables[index];
  return (at) => {
    let owner: Activation | null = at;
    for (let i = 0; i < distance; i++) owner = owner?.parent ?? null;
    return owner?.variables[index];
  };
}

/** Initialises the variables of a scope. */
export function entering(scope: Scope): (at: Activation) => void {
  const steps: { index: number; value: (at: Activation) => Value | undefined }[] = [];
  for (const [{ index }, load] of scope.loads) {
    if (load.kind === "resolve") steps.push({ index, value: (at) => at.context.resolve(load.name) });
    else if (load.kind === "undefined") steps.push({ index, value: () => undefined });
    else if (load.kind === "alias") steps.push({ index, value: reader(load.of, scope.owner) });
  }
  return (at) => {
    for (const { index, value } of steps) at.variables[index] = value(at);
  };
}

/** Clears the variables of a scope. */
export function leaving(scope: Scope): (at: Activation) => void {
  const slots = Array.from(scope.loads.keys(), ({ index }) => index);
  return (at) => {
    for (const index of slots) at.variables[index] = undefined;
  };
}

export function undefinedName(name: string): Undefined {
  return new Undefined(`'${name}' is undefined`);
}

/** How a statement ends: continuing with the next one, or with a jump within the loop. */
export type Signal = "next" | "break" | "continue";
export type Execute = (at: Activation) => Signal;
