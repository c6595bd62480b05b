/** Loops, with their filters, their `else` and their recursion. */
import { Activation, type Execute, entering, leaving, type Signal } from "./activation.ts";
import { compileExpression, type Evaluate, type Frame, weightOf } from "./compile-expression.ts";
import type { CompileBody } from "./compile-macro.ts";
import { compileTarget } from "./compile-target.ts";
import { syntaxError } from "./errors.ts";
import { iterate } from "./iterate.ts";
import { Loop, type Recurse } from "./loop.ts";
import { childrenOf, type For, type Node, type Target } from "./nodes.ts";
import { truth } from "./operators.ts";
import { FunctionScope, Scope, type Slot, undeclared } from "./scopes.ts";
import { DONE, Iteration, Markup, Tuple, type Value } from "./values.ts";

export function compileFor(node: For, frame: Frame, compileBody: CompileBody): Execute {
  if (contains(node, frame, (one) => one.kind === "name" && one.use === "store" && one.name === "loop")) {
    throw syntaxError("Can't assign to special loop variable in for-loop target", node.line);
  }
  const owner = node.recursive ? new FunctionScope(frame.scope.owner) : frame.scope.owner;
  const isExtended =
    node.recursive ||
    undeclared(node.body, ["loop"], owner.budget).has("loop") ||
    contains(node, frame, (one) => one.kind === "block" && one.scoped);
  const round = compileRounds(node, frame, owner, isExtended, compileBody);
  const filter = node.test ? compileTest(node, frame) : null;
  const iterable = compileExpression(node.iterable, frame);
  const weight = weightOf(node.iterable);
  if (!node.recursive) {
    return (at) => {
      at.run.line = node.line;
      at.run.spend(weight);
      const items = iterable(at);
      return round(at, filter ? filter(at, items) : items, null, 0);
    };
  }
  return (at) => {
    at.run.line = node.line;
    at.run.spend(weight);
    const recurse: Recurse = (items, depth) => {
      const inner = new Activation(at.run, at.context, at, owner);
      round(inner, filter ? filter(at, items) : items, recurse, depth);
      return at.run.autoescape ? new Markup(inner.text) : inner.text;
    };
    const text = recurse(iterable(at), 0);
    at.write(text instanceof Markup ? text.text : (text as string));
    return "next";
  };
}

type Rounds = (at: Activation, items: Value, recurse: Recurse | null, depth: number) => Signal;

function compileRounds(
  node: For,
  frame: Frame,
  owner: FunctionScope,
  isExtended: boolean,
  compileBody: CompileBody,
): Rounds {
  const scope = new Scope(frame.scope, owner);
  const inner: Frame = { ...frame, scope, soft: false, toplevel: false, inLoop: true };
  const loopSlot: Slot | null = isExtended ? scope.declareParameter("loop") : null;
  scope.analyzeLoop(node, "body");
  const assign = compileTarget(node.target, inner);
  const body = compileBody(node.body, inner);
  const [enter, leave] = [entering(scope), leaving(scope)];
  const otherwise = compileElse(node, frame, owner, compileBody);
  return (at, items, recurse, depth) => {
    const { run } = at;
    const loop = loopSlot ? new Loop(run, items, recurse, depth) : null;
    const source = loop ? null : iterate(run, items);
    let rounds = 0;
    let signal: Signal = "next";
    for (;;) {
      const item = loop ? loop.advance() : (source as Iteration).next();
      if (item === undefined || item === DONE) break;
      run.spend(2);
      assign(at, item);
      if (loopSlot && loop) at.variables[loopSlot.index] = loop;
      enter(at);
      signal = body(at);
      // A round that ended early has not recorded itself.
      if (signal === "next") rounds++;
      if (signal === "break") break;
    }
    leave(at);
    return rounds === 0 ? otherwise(at) : "next";
  };
}

/** Rendered if no round was completed. */
function compileElse(node: For, frame: Frame, owner: FunctionScope, compileBody: CompileBody): Execute {
  if (node.otherwise.length === 0) return () => "next";
  const scope = new Scope(frame.scope, owner);
  scope.analyzeLoop(node, "else");
  const inLoop = frame.inLoop && !node.recursive;
  const body = compileBody(node.otherwise, { ...frame, scope, soft: false, toplevel: false, inLoop });
  const [enter, leave] = [entering(scope), leaving(scope)];
  return (at) => {
    enter(at);
    const signal = body(at);
    leave(at);
    return signal;
  };
}

/** `for … in … if …`: a separate generator, which yields the items in the form of the target. */
function compileTest(node: For, frame: Frame): (at: Activation, items: Value) => Value {
  const owner = new FunctionScope(frame.scope.owner);
  const scope = new Scope(frame.scope, owner);
  const inner: Frame = { ...frame, scope, soft: false, toplevel: false, inLoop: false };
  scope.analyzeLoop(node, "test");
  const assign = compileTarget(node.target, inner);
  const collect = compileCollect(node.target, inner);
  const test = compileExpression(node.test as NonNullable<For["test"]>, inner);
  const weight = weightOf(node.test as Node);
  const enter = entering(scope);
  return (at, items) => {
    const activation = new Activation(at.run, at.context, at, owner);
    let source: Iteration | null = null;
    return new Iteration(() => {
      if (!source) {
        enter(activation);
        source = iterate(at.run, items);
      }
      for (let item = source.next(); item !== DONE; item = source.next()) {
        at.run.spend(2 + weight);
        assign(activation, item);
        if (truth(at.run, test(activation))) return collect(activation);
      }
      return DONE;
    });
  };
}

/** The value of a target. */
function compileCollect(target: Target, frame: Frame): Evaluate {
  if (target.kind !== "tuple") return compileExpression(target, frame);
  const items = target.items.map((item) => compileCollect(item as Target, frame));
  return (at) => new Tuple(items.map((item) => item(at)));
}

function contains(node: Node, frame: Frame, is: (node: Node) => boolean): boolean {
  frame.scope.owner.budget.spend(1);
  return is(node) || childrenOf(node).some((child) => contains(child, frame, is));
}
