/**
 * Resolves names to variables. Jinja does this before a template runs, from where names are read and set; the rules
 * here are those of its compiler (`idtracking`), because templates depend on their corner cases: a loop's body sees names
 * set outside and forgets its own, branches of `if` share their scope, macros see later values of outer names.
 */

import { childrenOf, type For, type If, type Node } from "./nodes.ts";
import { limit } from "./run.ts";

/** Maximum steps for resolving a template's names: many more than a real one takes. */
const STEPS = 3_000_000;

/** Limits the work of compiling a template. */
export class CompileBudget {
  #steps = STEPS;

  spend(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) throw limit("nests too many names");
  }
}

/** A function of the compiled template, whose variables live in one activation. */
export class FunctionScope {
  readonly depth: number;
  readonly budget: CompileBudget;
  slots = 0;

  constructor(parent: FunctionScope | CompileBudget) {
    this.depth = parent instanceof FunctionScope ? parent.depth + 1 : 0;
    this.budget = parent instanceof FunctionScope ? parent.budget : parent;
  }
}

/** A variable. */
export interface Slot {
  readonly owner: FunctionScope;
  readonly index: number;
}

/** A variable's value when its scope is entered. */
export type Load =
  | { readonly kind: "parameter" }
  | { readonly kind: "undefined" }
  | { readonly kind: "resolve"; readonly name: string }
  | { readonly kind: "alias"; readonly of: Slot };

export class Scope {
  readonly parent: Scope | null;
  readonly owner: FunctionScope;
  readonly #slots: Map<string, Slot>;
  #refs = new Map<string, Slot>();
  #loads = new Map<Slot, Load>();
  #stores = new Set<string>();

  constructor(parent: Scope | null, owner: FunctionScope, slots = new Map<string, Slot>()) {
    this.parent = parent;
    this.owner = owner;
    this.#slots = slots;
  }

  get loads(): ReadonlyMap<Slot, Load> {
    return this.#loads;
  }

  get stores(): ReadonlySet<string> {
    return this.#stores;
  }

  /** The variable of a name that was found by {@link analyze}. */
  ref(name: string): Slot {
    const slot = this.find(name);
    if (!slot) throw new Error(`The name ${name} was not analysed`);
    return slot;
  }

  find(name: string): Slot | undefined {
    return this.#refs.get(name) ?? this.parent?.find(name);
  }

  declareParameter(name: string): Slot {
    this.#stores.add(name);
    return this.#define(name, { kind: "parameter" });
  }

  /** Variables set here and in outer scopes, by name, for blocks that receive them. */
  allStores(): Map<string, Slot> {
    const result = new Map<string, Slot>();
    for (let scope: Scope | null = this; scope; scope = scope.parent) {
      for (const name of scope.#stores) if (!result.has(name)) result.set(name, this.ref(name));
    }
    return result;
  }

  #define(name: string, load: Load): Slot {
    let slot = this.#slots.get(name);
    if (!slot) {
      slot = { owner: this.owner, index: this.owner.slots++ };
      this.#slots.set(name, slot);
    }
    this.#refs.set(name, slot);
    this.#loads.set(slot, load);
    return slot;
  }

  #store(name: string): void {
    this.#stores.add(name);
    if (this.#refs.has(name)) return;
    const outer = this.parent?.find(name);
    this.#define(name, outer ? { kind: "alias", of: outer } : { kind: "undefined" });
  }

  #load(name: string): void {
    if (!this.find(name)) this.#define(name, { kind: "resolve", name });
  }

  #copy(): Scope {
    this.owner.budget.spend(4 + this.#refs.size);
    const copy = new Scope(this.parent, this.owner, this.#slots);
    copy.#refs = new Map(this.#refs);
    copy.#loads = new Map(this.#loads);
    copy.#stores = new Set(this.#stores);
    return copy;
  }

  /** Merges the names that the branches of an `if` read and set. */
  #merge(branches: readonly Scope[]): void {
    const stores = new Set(branches.flatMap((branch) => [...branch.#stores]).filter((name) => !this.#stores.has(name)));
    for (const branch of branches) {
      for (const [name, slot] of branch.#refs) this.#refs.set(name, slot);
      for (const [slot, load] of branch.#loads) this.#loads.set(slot, load);
      for (const name of branch.#stores) this.#stores.add(name);
    }
    for (const name of stores) {
      const outer = this.parent?.find(name);
      this.#loads.set(this.ref(name), outer ? { kind: "alias", of: outer } : { kind: "resolve", name });
    }
  }

  /** Visits the names of a node in this scope. */
  visit(node: Node, asParameter = false): void {
    switch (node.kind) {
      case "name":
        if (asParameter || node.use === "param") this.declareParameter(node.name);
        else if (node.use === "store") this.#store(node.name);
        else this.#load(node.name);
        return;
      case "namespace":
        this.#load(node.name);
        return;
      case "if": {
        const [first, ...others] = node.branches;
        if (!first) return;
        this.visit(first.test, asParameter);
        this.#merge([this.#branch(first.body), this.#elifs(others), this.#branch(node.otherwise)]);
        return;
      }
      case "macro":
        this.#store(node.name);
        return;
      case "import":
        this.visit(node.template);
        for (const name of node.names) this.#store(name);
        return;
      case "set":
        this.visit(node.value);
        this.visit(node.target);
        return;
      case "for":
        this.visit(node.iterable);
        return;
      case "call-block":
        if (node.call) this.visit(node.call);
        return;
      case "filter-block":
        this.visit(node.filter);
        return;
      case "with":
        for (const value of node.values) this.visit(value);
        return;
      case "set-block":
        this.visit(node.target);
        return;
      case "autoescape":
      case "block":
        return;
      default:
        for (const child of childrenOf(node)) this.visit(child, asParameter);
    }
  }

  #branch(nodes: readonly Node[]): Scope {
    const branch = this.#copy();
    for (const node of nodes) branch.visit(node);
    return branch;
  }

  /** Each `elif` is a separate `if` within one branch. */
  #elifs(branches: If["branches"]): Scope {
    const scope = this.#copy();
    for (const { test, body } of branches) {
      scope.visit(test);
      scope.#merge([scope.#branch(body), scope.#branch([]), scope.#branch([])]);
    }
    return scope;
  }

  /** Visits the names in the statements of this scope. */
  analyze(nodes: readonly Node[]): void {
    for (const node of nodes) this.visit(node);
  }

  /** Visits the names in the part of a loop that has this scope. */
  analyzeLoop(node: For, part: "body" | "else" | "test"): void {
    if (part !== "else") this.visit(node.target, true);
    if (part === "test") {
      if (node.test) this.visit(node.test);
    } else this.analyze(part === "body" ? node.body : node.otherwise);
  }
}

/** The names that the nodes read before they are set. */
export function undeclared(
  nodes: readonly Node[],
  names: readonly string[],
  budget: CompileBudget,
): ReadonlySet<string> {
  const wanted = new Set(names);
  const found = new Set<string>();
  const visit = (node: Node): void => {
    budget.spend(1);
    if (node.kind === "block") return;
    if (node.kind === "name") {
      if (node.use === "load" && wanted.has(node.name)) found.add(node.name);
      else wanted.delete(node.name);
    }
    for (const child of childrenOf(node)) visit(child);
  };
  for (const node of nodes) visit(node);
  return found;
}
