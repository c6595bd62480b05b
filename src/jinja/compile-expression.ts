/** Expressions as closures. */
import { type Activation, reader, undefinedName } from "./activation.ts";
import { failure, syntaxError } from "./errors.ts";
import { FILTERS, TESTS } from "./filters.ts";
import { toArray } from "./iterate.ts";
import { usable } from "./keys.ts";
import { keywordsFrom } from "./methods.ts";
import type { Native } from "./natives.ts";
import { type CallArguments, childrenOf, type Expression, type Filter, type Node, type Test } from "./nodes.ts";
import { arithmetic, compare, concatenate, signed, truth } from "./operators.ts";
import type { Scope } from "./scopes.ts";
import { call, getAttribute, getItem, slice } from "./subscript.ts";
import {
  type Arguments,
  Dict,
  type Keywords,
  List,
  Markup,
  NO_KEYWORDS,
  Tuple,
  Undefined,
  type Value,
} from "./values.ts";

export type Evaluate = (at: Activation) => Value;

/** The context of a piece of a template. */
export interface Frame {
  readonly scope: Scope;
  /** Whether HTML is escaped here; `null` if that is only known at run time. */
  readonly autoescape: boolean | null;
  /** Whether it is in a branch of `if`: unknown filters are an error only if they are used. */
  readonly soft: boolean;
  /** Whether it is at the template's top level, where blocks see `set`. */
  readonly toplevel: boolean;
  /** Whether it is in a loop of the same function, so that `break` is allowed. */
  readonly inLoop: boolean;
}

export function escapes(frame: Frame, at: Activation): boolean {
  return frame.autoescape ?? at.run.autoescape;
}

/** The work of evaluating an expression once, apart from what filters and calls count. */
export function weightOf(node: Node): number {
  return childrenOf(node).reduce((sum, child) => sum + weightOf(child), 1);
}

export function compileExpression(node: Expression, frame: Frame): Evaluate {
  const compile = (child: Expression): Evaluate => compileExpression(child, frame);
  switch (node.kind) {
    case "const":
      return () => node.value;
    case "name": {
      const read = reader(frame.scope.ref(node.name), frame.scope.owner);
      const { name } = node;
      return (at) => {
        const value = read(at);
        return value === undefined ? undefinedName(name) : value;
      };
    }
    case "list":
    case "tuple": {
      const items = node.items.map(compile);
      if (node.kind === "list") return (at) => new List(items.map((item) => item(at)));
      return (at) => new Tuple(items.map((item) => item(at)));
    }
    case "dict": {
      const pairs = node.pairs.map(([key, value]) => [compile(key), compile(value)] as const);
      return (at) => {
        const dict = new Dict();
        for (const [key, value] of pairs) dict.set(usable(at.run, key(at)), value(at));
        return dict;
      };
    }
    case "condition":
      return compileCondition(node, { ...frame, soft: true });
    case "and": {
      const [left, right] = [compile(node.left), compile(node.right)];
      return (at) => {
        const value = left(at);
        return truth(at.run, value) ? right(at) : value;
      };
    }
    case "or": {
      const [left, right] = [compile(node.left), compile(node.right)];
      return (at) => {
        const value = left(at);
        return truth(at.run, value) ? value : right(at);
      };
    }
    case "not": {
      const operand = compile(node.node);
      return (at) => !truth(at.run, operand(at));
    }
    case "negative":
    case "positive": {
      const operand = compile(node.node);
      const negative = node.kind === "negative";
      return (at) => signed(operand(at), negative);
    }
    case "arithmetic": {
      const [left, right, { operator }] = [compile(node.left), compile(node.right), node];
      return (at) => arithmetic(at.run, operator, left(at), right(at));
    }
    case "concat": {
      const nodes = node.nodes.map(compile);
      return (at) =>
        concatenate(
          at.run,
          nodes.map((part) => part(at)),
          escapes(frame, at),
        );
    }
    case "compare":
      return compileCompare(node, frame);
    case "attribute": {
      const object = compile(node.node);
      const { name } = node;
      return (at) => getAttribute(at.run, object(at), name);
    }
    case "item":
      return compileItem(node, frame);
    case "call":
      return compileCall(node, frame);
    case "filter":
      return compileFilter(node, frame, null);
    case "test":
      return compileTest(node, frame);
    default:
      throw syntaxError(`a ${node.kind} is not allowed here`, 0);
  }
}

function compileCondition(node: Extract<Expression, { kind: "condition" }>, frame: Frame): Evaluate {
  const test = compileExpression(node.test, frame);
  const yes = compileExpression(node.yes, frame);
  const no = node.no ? compileExpression(node.no, frame) : null;
  const message = `the inline if-expression on line ${node.line} evaluated to false and no else section was defined.`;
  return (at) => {
    if (truth(at.run, test(at))) return yes(at);
    return no ? no(at) : new Undefined(message);
  };
}

function compileCompare(node: Extract<Expression, { kind: "compare" }>, frame: Frame): Evaluate {
  const first = compileExpression(node.first, frame);
  const rest = node.rest.map(({ operator, node: operand }) => ({
    operator,
    operand: compileExpression(operand, frame),
  }));
  return (at) => {
    let left = first(at);
    for (const { operator, operand } of rest) {
      const right = operand(at);
      if (!compare(at.run, operator, left, right)) return false;
      left = right;
    }
    return true;
  };
}

function compileItem(node: Extract<Expression, { kind: "item" }>, frame: Frame): Evaluate {
  const object = compileExpression(node.node, frame);
  const { key } = node;
  if (key.kind === "slice") {
    const part = (one: Expression | null): Evaluate => (one ? compileExpression(one, frame) : () => null);
    const [start, stop, step] = [part(key.start), part(key.stop), part(key.step)];
    return (at) => slice(at.run, object(at), start(at), stop(at), step(at));
  }
  const index = compileExpression(key, frame);
  return (at) => getItem(at.run, object(at), index(at));
}

interface Evaluated {
  readonly args: Arguments;
  readonly keywords: Keywords;
}

function compileArguments(node: CallArguments, frame: Frame): (at: Activation) => Evaluated {
  const args = node.args.map((arg) => compileExpression(arg, frame));
  const keywords = node.keywords.map(({ key, value }) => [key, compileExpression(value, frame)] as const);
  const spread = node.spread ? compileExpression(node.spread, frame) : null;
  const spreadKeywords = node.spreadKeywords ? compileExpression(node.spreadKeywords, frame) : null;
  if (!spread && !spreadKeywords && keywords.length === 0) {
    return (at) => ({ args: args.map((arg) => arg(at)), keywords: NO_KEYWORDS });
  }
  return (at) => {
    const values = args.map((arg) => arg(at));
    const named = new Map(keywords.map(([key, value]) => [key, value(at)] as const));
    if (spread) {
      const more = toArray(at.run, spread(at));
      at.run.admitList(more.length);
      for (const value of more) values.push(value);
    }
    for (const [key, value] of spreadKeywords ? keywordsFrom(at.run, spreadKeywords(at)) : []) {
      if (named.has(key)) throw failure("TypeError", `got multiple values for keyword argument '${key}'`);
      named.set(key, value);
    }
    return { args: values, keywords: named };
  };
}

/** @param more additional keyword arguments of the call */
export function compileCall(
  node: Extract<Expression, { kind: "call" }>,
  frame: Frame,
  more?: (at: Activation) => readonly [string, Value],
): Evaluate {
  const callee = compileExpression(node.node, frame);
  const evaluate = compileArguments(node, frame);
  if (!more) {
    return (at) => {
      const value = callee(at);
      const { args, keywords } = evaluate(at);
      return call(at.run, value, args, keywords);
    };
  }
  return (at) => {
    const value = callee(at);
    const { args, keywords } = evaluate(at);
    const [key, extra] = more(at);
    if (keywords.has(key)) throw failure("TypeError", `got multiple values for keyword argument '${key}'`);
    return call(at.run, value, args, new Map([...keywords, [key, extra]]));
  };
}

function lookUp(kind: "filter" | "test", name: string, line: number, frame: Frame): Native {
  const found = (kind === "filter" ? FILTERS : TESTS).get(name);
  if (found) return found;
  if (!frame.soft) throw syntaxError(`No ${kind} named '${name.slice(0, 60)}'.`, line);
  return () => {
    throw failure("TemplateRuntimeError", `No ${kind} named '${name.slice(0, 60)}' found.`);
  };
}

/** @param captured in a block, the text to filter */
export function compileFilter(node: Filter, frame: Frame, captured: Evaluate | null): Evaluate {
  const filter = lookUp("filter", node.name, node.line, frame);
  let input = captured;
  if (node.node)
    input =
      node.node.kind === "filter" ? compileFilter(node.node, frame, captured) : compileExpression(node.node, frame);
  if (!input) throw syntaxError("a filter without a value", node.line);
  const source = input;
  const evaluate = compileArguments(node, frame);
  return (at) => {
    const value = source(at);
    const { args, keywords } = evaluate(at);
    at.run.spend(4);
    return filter(at.run, value, args, keywords);
  };
}

/** The text that a block has captured, for its filter. */
export function capturedText(frame: Frame, text: (at: Activation) => string): Evaluate {
  return (at) => (escapes(frame, at) ? new Markup(text(at)) : text(at));
}

function compileTest(node: Test, frame: Frame): Evaluate {
  const test = lookUp("test", node.name, node.line, frame);
  const operand = compileExpression(node.node, frame);
  const evaluate = compileArguments(node, frame);
  return (at) => {
    const value = operand(at);
    const { args, keywords } = evaluate(at);
    return test(at.run, value, args, keywords);
  };
}
