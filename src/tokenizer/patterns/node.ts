/** A pattern as a tree. */
import type { CodeSet } from "./code-set.ts";

export type Node =
  /** One character of a set; `code` if it is the only one. */
  | { readonly kind: "set"; readonly set: CodeSet; readonly code?: number }
  | { readonly kind: "sequence"; readonly items: readonly Node[] }
  /** The first option that lets the rest match. */
  | { readonly kind: "choice"; readonly options: readonly Node[] }
  | {
      readonly kind: "repeat";
      readonly body: Node;
      readonly min: number;
      /** Infinity: without bound */
      readonly max: number;
      readonly mode: "greedy" | "lazy" | "possessive";
    }
  /** The first way in which the body matches, and no other. */
  | { readonly kind: "atomic"; readonly body: Node }
  | { readonly kind: "look"; readonly body: Node; readonly behind: boolean; readonly negative: boolean }
  | { readonly kind: "assert"; readonly what: Assertion }
  /** \K: the match begins here. */
  | { readonly kind: "keep" };

export type Assertion =
  | "lineStart"
  | "lineEnd"
  | "textStart"
  | "textEnd"
  | "textEndOrNewline"
  | "wordBoundary"
  | "notWordBoundary"
  | "searchStart";
