/**
 * Follows texts through a grammar, byte by byte. The grammar becomes a graph of nodes; a state is the set of all places in
 * it where a text may be, each with the rules to return to. States are made when a text first reaches them, and kept: a
 * byte that was followed once is a look-up afterwards.
 */
import { SluiceError } from "../errors.ts";
import type { Expression, Rule } from "./expression.ts";

/** A node of the graph. `next` of a byte is where it leads to; a call returns to its own. */
type Node =
  | { readonly kind: "byte"; readonly id: number; readonly set: Uint32Array; readonly next: Node }
  | { readonly kind: "fork"; readonly id: number; readonly next: Node[] }
  | { readonly kind: "call"; readonly id: number; readonly rule: Rule; readonly next: Node }
  | { readonly kind: "return"; readonly id: number };

/** The nodes to return to, innermost first; equal stacks are one object. */
interface Stack {
  readonly id: number;
  readonly node: Node;
  readonly below: Stack | null;
}

/** A place: at a byte node, or at the end of the text (null). */
interface Place {
  readonly node: Extract<Node, { readonly kind: "byte" }>;
  readonly stack: Stack | null;
}

/** All places where a text may be. */
export class State {
  /** Whether the text may end here. */
  readonly accepts: boolean;
  /** @internal */
  readonly places: readonly Place[];
  /** By byte; undefined: not followed yet, null: no text goes on with it. @internal */
  readonly next: (State | null | undefined)[] = new Array<State | null | undefined>(256);

  constructor(places: readonly Place[], accepts: boolean) {
    this.places = places;
    this.accepts = accepts;
  }

  /** Whether the text can only end here. */
  get isEnd(): boolean {
    return this.places.length === 0;
  }
}

/** Maximum number of nodes of a grammar: a megabyte or so. */
const MOST_NODES = 100_000;
/** Maximum depth of expressions within expressions: building recurses. */
const MOST_DEPTH = 1000;
/** States kept at once. Those in use stay when the others are dropped. */
const MOST_STATES = 20_000;
/** Maximum number of places of a state, and of rules entered at one byte: only grammars that call themselves at once have more. */
const MOST_PLACES = 10_000;

export class Automaton {
  readonly start: State;
  readonly #end: Node = { kind: "return", id: 0 };
  readonly #entries = new Map<Rule, Node>();
  /** What an expression became before a node: expressions share parts, which would be built once per way to them. */
  readonly #built = new WeakMap<Expression, Map<Node, Node>>();
  #nodes = 1;
  readonly #stacks = new Map<string, Stack>();
  #stackCount = 0;
  readonly #states = new Map<string, State>();

  /** @throws SluiceError `usage` for a grammar that is too large, or calls itself without reading a byte */
  constructor(expression: Expression) {
    const first = this.#build(expression, this.#end);
    this.start = this.#stateOf([{ node: first, stack: null }]);
  }

  /** The state after a byte; null if no text goes on with it. */
  follow(state: State, byte: number): State | null {
    const known = state.next[byte];
    if (known !== undefined) return known;
    const reached: { readonly node: Node; readonly stack: Stack | null }[] = [];
    for (const { node, stack } of state.places) {
      if (((node.set[byte >> 5] as number) >>> (byte & 31)) & 1) reached.push({ node: node.next, stack });
    }
    const next = reached.length === 0 ? null : this.#stateOf(reached);
    state.next[byte] = next;
    return next;
  }

  #build(expression: Expression, next: Node, depth = 0): Node {
    if (depth > MOST_DEPTH) throw tooLarge();
    if (expression.kind === "byte") return { kind: "byte", id: this.#newId(), set: expression.set, next };
    let built = this.#built.get(expression);
    if (!built) {
      built = new Map();
      this.#built.set(expression, built);
    }
    let node = built.get(next);
    if (!node) {
      node = this.#buildParts(expression, next, depth + 1);
      built.set(next, node);
    }
    return node;
  }

  #buildParts(expression: Exclude<Expression, { readonly kind: "byte" }>, next: Node, depth: number): Node {
    switch (expression.kind) {
      case "all": {
        let after = next;
        for (let i = expression.parts.length - 1; i >= 0; i--) {
          after = this.#build(expression.parts[i] as Expression, after, depth);
        }
        return after;
      }
      case "any": {
        const fork: Node = { kind: "fork", id: this.#newId(), next: [] };
        for (const each of expression.choices) fork.next.push(this.#build(each, next, depth));
        return fork;
      }
      case "upTo": {
        let after = next;
        for (let i = 0; i < expression.most; i++) {
          after = { kind: "fork", id: this.#newId(), next: [this.#build(expression.part, after, depth), next] };
        }
        return after;
      }
      case "many": {
        const fork: Node = { kind: "fork", id: this.#newId(), next: [next] };
        fork.next.unshift(this.#build(expression.part, fork, depth));
        return fork;
      }
      case "rule":
        return { kind: "call", id: this.#newId(), rule: expression.rule, next };
    }
  }

  #newId(): number {
    if (this.#nodes >= MOST_NODES) throw tooLarge();
    return this.#nodes++;
  }

  #entryOf(rule: Rule): Node {
    let entry = this.#entries.get(rule);
    if (!entry) {
      entry = this.#build(rule.body, this.#end);
      this.#entries.set(rule, entry);
    }
    return entry;
  }

  /** Goes on from nodes to the bytes that may come, through forks, calls and returns. */
  #stateOf(from: readonly { readonly node: Node; readonly stack: Stack | null }[]): State {
    const places = new Map<string, Place>();
    const seen = new Set<string>();
    let accepts = false;
    const open = [...from].reverse();
    for (let at = open.pop(); at; at = open.pop()) {
      const { node, stack } = at;
      const key = `${node.id},${stack?.id ?? 0}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > MOST_PLACES) throw endless();
      if (node.kind === "byte") places.set(key, { node, stack });
      else if (node.kind === "fork") for (const next of node.next) open.push({ node: next, stack });
      else if (node.kind === "call") open.push({ node: this.#entryOf(node.rule), stack: this.#push(node.next, stack) });
      else if (stack) open.push({ node: stack.node, stack: stack.below });
      else accepts = true;
    }
    if (places.size === 0 && !accepts) throw endless();
    const key = `${accepts ? "!" : ""}${[...places.keys()].sort().join(" ")}`;
    let state = this.#states.get(key);
    if (!state) {
      if (this.#states.size >= MOST_STATES) this.#states.clear();
      state = new State([...places.values()], accepts);
      this.#states.set(key, state);
    }
    return state;
  }

  #push(node: Node, below: Stack | null): Stack {
    // A call at the end of a rule returns to where that rule does.
    if (node.kind === "return" && below) return below;
    const key = `${node.id},${below?.id ?? 0}`;
    let stack = this.#stacks.get(key);
    if (!stack) {
      stack = { id: ++this.#stackCount, node, below };
      this.#stacks.set(key, stack);
    }
    return stack;
  }
}

function tooLarge(): SluiceError {
  return new SluiceError("usage", "The schema describes too many forms of a text", {
    hint: "Large counts multiply: give smaller maxLength, maxItems or fewer nested ones.",
  });
}

function endless(): SluiceError {
  return new SluiceError("usage", "The schema refers to itself without end", {
    hint: "A $ref must not lead back to itself unless an object or a list lies between.",
  });
}
