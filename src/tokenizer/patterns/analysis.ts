/** Properties of a node that do not depend on a text. */
import { CodeSet } from "./code-set.ts";
import type { Node } from "./node.ts";

/** How a node can begin to match. */
export interface Start {
  /** The characters it can begin with; undefined: not known, any */
  readonly set: CodeSet | undefined;
  /** The one character it can begin with, if there is only one */
  readonly code?: number | undefined;
  /** Whether it can match without a character */
  readonly empty: boolean;
  /** Number of unions that made the set */
  readonly unions: number;
}

/** The number of characters that a node matches. */
export interface Width {
  readonly min: number;
  /** Infinity: without bound */
  readonly max: number;
}

const NONE = CodeSet.ofRanges([]);
const MATCHES_NOTHING: Start = { set: NONE, empty: true, unions: 0 };
export const UNKNOWN: Start = { set: undefined, empty: true, unions: 0 };
/** Beyond these, the analysis does not pay off. */
const MAX_UNIONS = 30;

/** Start and width of the nodes of one pattern, each computed once. */
export class Analysis {
  readonly #starts = new Map<Node, Start>();
  readonly #widths = new Map<Node, Width>();

  start(node: Node): Start {
    let start = this.#starts.get(node);
    if (!start) {
      start = this.#findStart(node);
      this.#starts.set(node, start);
    }
    return start;
  }

  #findStart(node: Node): Start {
    switch (node.kind) {
      case "set":
        return { set: node.set, code: node.code, empty: false, unions: 0 };
      case "sequence":
        return node.items.reduceRight((after, item) => then(this.start(item), after), MATCHES_NOTHING);
      case "choice":
        return either(node.options.map((option) => this.start(option)));
      case "repeat": {
        const start = this.start(node.body);
        if (node.max === 0) return MATCHES_NOTHING;
        return node.min === 0 ? { ...start, empty: true } : start;
      }
      case "atomic":
        return this.start(node.body);
      default:
        return MATCHES_NOTHING;
    }
  }

  width(node: Node): Width {
    let width = this.#widths.get(node);
    if (!width) {
      width = this.#findWidth(node);
      this.#widths.set(node, width);
    }
    return width;
  }

  #findWidth(node: Node): Width {
    switch (node.kind) {
      case "set":
        return { min: 1, max: 1 };
      case "sequence":
        return node.items
          .map((item) => this.width(item))
          .reduce((sum, { min, max }) => ({ min: sum.min + min, max: sum.max + max }), { min: 0, max: 0 });
      case "choice": {
        const widths = node.options.map((option) => this.width(option));
        return {
          min: widths.reduce((least, { min }) => Math.min(least, min), Infinity),
          max: widths.reduce((most, { max }) => Math.max(most, max), 0),
        };
      }
      case "repeat": {
        const { min, max } = this.width(node.body);
        return { min: min * node.min, max: max === 0 ? 0 : max * node.max };
      }
      case "atomic":
        return this.width(node.body);
      default:
        return { min: 0, max: 0 };
    }
  }
}

/** How a sequence of two can begin. */
export function then(one: Start, other: Start): Start {
  return one.empty ? { ...either([one, other]), empty: other.empty } : one;
}

function either(starts: readonly Start[]): Start {
  const empty = starts.some((start) => start.empty);
  const some = starts.filter((start) => start.set !== NONE);
  if (some.length === 0) return { ...MATCHES_NOTHING, empty };
  if (some.length === 1) return { ...(some[0] as Start), empty };
  const sets = some.flatMap(({ set }) => set ?? []);
  const unions = 1 + Math.max(...some.map((start) => start.unions));
  if (sets.length < some.length || unions > MAX_UNIONS) return { ...UNKNOWN, empty };
  return { set: CodeSet.union(sets), empty, unions };
}
