/** The syntax tree. */
import type { Arithmetic, Comparison } from "./operators.ts";
import type { Value } from "./values.ts";

export interface Keyword {
  readonly key: string;
  readonly value: Expression;
}

/** The contents of a call's parentheses. */
export interface CallArguments {
  readonly args: readonly Expression[];
  readonly keywords: readonly Keyword[];
  readonly spread: Expression | null;
  readonly spreadKeywords: Expression | null;
}

/** Names that are read, set, or parameters. */
export type NameUse = "load" | "store" | "param";

export interface Name {
  readonly kind: "name";
  readonly name: string;
  use: NameUse;
  readonly line: number;
}
export interface NamespaceTarget {
  readonly kind: "namespace";
  readonly name: string;
  readonly attribute: string;
  readonly line: number;
}
export interface Const {
  readonly kind: "const";
  readonly value: Value;
}
export interface Sequence {
  readonly kind: "tuple" | "list";
  readonly items: readonly Expression[];
}
export interface Slice {
  readonly kind: "slice";
  readonly start: Expression | null;
  readonly stop: Expression | null;
  readonly step: Expression | null;
}
export interface Call extends CallArguments {
  readonly kind: "call";
  readonly node: Expression;
  readonly line: number;
}
export interface Filter extends CallArguments {
  readonly kind: "filter";
  /** Null in a block, whose text is filtered. */
  readonly node: Expression | null;
  readonly name: string;
  readonly line: number;
}
export interface Test extends CallArguments {
  readonly kind: "test";
  readonly node: Expression;
  readonly name: string;
  readonly line: number;
}

export type Expression =
  | Name
  | NamespaceTarget
  | Const
  | Sequence
  | Slice
  | Call
  | Filter
  | Test
  | { readonly kind: "dict"; readonly pairs: readonly (readonly [Expression, Expression])[] }
  | {
      readonly kind: "condition";
      readonly test: Expression;
      readonly yes: Expression;
      readonly no: Expression | null;
      readonly line: number;
    }
  | { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "not" | "negative" | "positive"; readonly node: Expression }
  | {
      readonly kind: "arithmetic";
      readonly operator: Arithmetic;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: "concat"; readonly nodes: readonly Expression[] }
  | {
      readonly kind: "compare";
      readonly first: Expression;
      readonly rest: readonly { readonly operator: Comparison; readonly node: Expression }[];
    }
  | { readonly kind: "attribute"; readonly node: Expression; readonly name: string }
  | { readonly kind: "item"; readonly node: Expression; readonly key: Expression };

export type Target = Name | NamespaceTarget | Sequence;

export interface Data {
  readonly kind: "data";
  readonly text: string;
}
export interface Output {
  readonly kind: "output";
  readonly nodes: readonly (Data | Expression)[];
  readonly line: number;
}
export interface For {
  readonly kind: "for";
  readonly target: Target;
  readonly iterable: Expression;
  readonly test: Expression | null;
  readonly recursive: boolean;
  readonly body: readonly Statement[];
  readonly otherwise: readonly Statement[];
  readonly line: number;
}
export interface If {
  readonly kind: "if";
  readonly branches: readonly {
    readonly test: Expression;
    readonly body: readonly Statement[];
    readonly line: number;
  }[];
  readonly otherwise: readonly Statement[];
  readonly line: number;
}
/** The common part of macros and of the blocks passed to them. */
export interface Signature {
  readonly args: readonly Name[];
  readonly defaults: readonly Expression[];
  readonly body: readonly Statement[];
  readonly line: number;
}
export interface Macro extends Signature {
  readonly kind: "macro";
  readonly name: string;
}
export interface CallBlock extends Signature {
  readonly kind: "call-block";
  /** Null for `{% generation %}`, which prints its body. */
  readonly call: Call | null;
}
export interface FilterBlock {
  readonly kind: "filter-block";
  readonly filter: Filter;
  readonly body: readonly Statement[];
  readonly line: number;
}
export interface With {
  readonly kind: "with";
  readonly targets: readonly Target[];
  readonly values: readonly Expression[];
  readonly body: readonly Statement[];
  readonly line: number;
}
export interface Assign {
  readonly kind: "set";
  readonly target: Target;
  readonly value: Expression;
  readonly line: number;
}
export interface AssignBlock {
  readonly kind: "set-block";
  readonly target: Target;
  readonly filter: Filter | null;
  readonly body: readonly Statement[];
  readonly line: number;
}
export interface Block {
  readonly kind: "block";
  readonly name: string;
  readonly scoped: boolean;
  readonly required: boolean;
  readonly body: readonly Statement[];
  readonly line: number;
}
/** Tags that refer to other templates; there are none. */
export interface Outside {
  readonly kind: "extends" | "include" | "import";
  readonly template: Expression;
  /** Names that an import would set. */
  readonly names: readonly string[];
  readonly line: number;
}
export interface Autoescape {
  readonly kind: "autoescape";
  readonly value: Expression;
  readonly body: readonly Statement[];
  readonly line: number;
}
export interface Jump {
  readonly kind: "break" | "continue";
  readonly line: number;
}

export type Statement =
  | Output
  | For
  | If
  | Macro
  | CallBlock
  | FilterBlock
  | With
  | Assign
  | AssignBlock
  | Block
  | Outside
  | Autoescape
  | Jump;

export type Node = Data | Expression | Statement;

/** A node's children, in the order in which Jinja's visitors see them. */
export function childrenOf(node: Node): readonly Node[] {
  switch (node.kind) {
    case "tuple":
    case "list":
      return node.items;
    case "dict":
      return node.pairs.flat();
    case "condition":
      return present(node.test, node.yes, node.no);
    case "and":
    case "or":
    case "arithmetic":
      return [node.left, node.right];
    case "not":
    case "negative":
    case "positive":
    case "attribute":
      return [node.node];
    case "item":
      return [node.node, node.key];
    case "slice":
      return present(node.start, node.stop, node.step);
    case "concat":
    case "output":
      return node.nodes;
    case "compare":
      return [node.first, ...node.rest.map((operand) => operand.node)];
    case "call":
    case "filter":
    case "test":
      return present(
        node.node,
        ...node.args,
        ...node.keywords.map(({ value }) => value),
        node.spread,
        node.spreadKeywords,
      );
    case "for":
      return present(node.target, node.iterable, ...node.body, ...node.otherwise, node.test);
    case "if": {
      const [first, ...others] = node.branches;
      const branch = (one: If["branches"][number] | undefined): Node[] => (one ? [one.test, ...one.body] : []);
      return [...branch(first), ...others.flatMap(branch), ...node.otherwise];
    }
    case "macro":
      return [...node.args, ...node.defaults, ...node.body];
    case "call-block":
      return present(node.call, ...node.args, ...node.defaults, ...node.body);
    case "filter-block":
      return [...node.body, node.filter];
    case "with":
      return [...node.targets, ...node.values, ...node.body];
    case "set":
      return [node.target, node.value];
    case "set-block":
      return present(node.target, node.filter, ...node.body);
    case "block":
      return node.body;
    case "autoescape":
      return [node.value, ...node.body];
    case "extends":
    case "include":
    case "import":
      return [node.template];
    default:
      return [];
  }
}

function present(...nodes: readonly (Node | null)[]): Node[] {
  return nodes.filter((node) => node !== null);
}
