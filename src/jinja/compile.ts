/** Statements as closures, scope by scope as Jinja's compiler makes them. */
import { Activation, type Context, type Execute, entering, leaving, type Signal } from "./activation.ts";
import {
  capturedText,
  compileCall,
  compileExpression,
  compileFilter,
  escapes,
  type Frame,
  weightOf,
} from "./compile-expression.ts";
import { compileFor } from "./compile-for.ts";
import { compileMacro } from "./compile-macro.ts";
import { compileTarget, type Store } from "./compile-target.ts";
import { failure, syntaxError } from "./errors.ts";
import {
  type Assign,
  type AssignBlock,
  type Autoescape,
  type Block,
  type CallBlock,
  childrenOf,
  type FilterBlock,
  type If,
  type Macro,
  type Node,
  type Output,
  type Statement,
  type Target,
  type With,
} from "./nodes.ts";
import { truth } from "./operators.ts";
import { str } from "./repr.ts";
import type { Run } from "./run.ts";
import { CompileBudget, FunctionScope, Scope, undeclared } from "./scopes.ts";
import { escapeHtml } from "./text.ts";
import { Callable, Custom, Markup, textOf, typeName, Undefined, type Value } from "./values.ts";

/** Renders with the variables of a context. */
export type Render = (run: Run, context: Context) => string;

/** @throws TemplateError `syntax` for what Jinja's compiler refuses, such as a filter that does not exist */
export function compile(nodes: readonly Statement[]): Render {
  return new Compiler(nodes).render;
}

class Compiler {
  readonly #blocks = new Map<string, Render>();
  readonly #budget = new CompileBudget();
  readonly render: Render;

  constructor(nodes: readonly Statement[]) {
    const blocks = blocksIn(nodes);
    this.render = this.#function(nodes, { toplevel: true });
    for (const block of blocks) this.#blocks.set(block.name, this.#function(block.body, { toplevel: false, block }));
  }

  /** The template or one of its blocks, which run alone on a context. */
  #function(nodes: readonly Statement[], { toplevel, block }: { toplevel: boolean; block?: Block }): Render {
    const owner = new FunctionScope(this.#budget);
    const scope = new Scope(null, owner);
    const special = undeclared(nodes, block ? ["self", "super"] : ["self"], this.#budget);
    const self = special.has("self") ? scope.declareParameter("self") : null;
    const parent = special.has("super") ? scope.declareParameter("super") : null;
    scope.analyze(nodes);
    const body = this.#body(nodes, { scope, autoescape: false, soft: false, toplevel, inLoop: false });
    const enter = entering(scope);
    return (run, context) => {
      const at = new Activation(run, context, null, owner);
      if (self) at.variables[self.index] = new Blocks(this.#blocks, context);
      if (parent) at.variables[parent.index] = new Undefined(`there is no parent block called '${block?.name}'.`);
      enter(at);
      body(at);
      return at.text;
    };
  }

  readonly #body = (nodes: readonly Statement[], frame: Frame): Execute => {
    const statements = nodes.map((node) => this.#statement(node, frame));
    const [only] = statements;
    if (statements.length === 1 && only) return only;
    return (at) => {
      for (const statement of statements) {
        const signal = statement(at);
        if (signal !== "next") return signal;
      }
      return "next";
    };
  };

  #statement(node: Statement, frame: Frame): Execute {
    switch (node.kind) {
      case "output":
        return compileOutput(node, frame);
      case "for":
        return compileFor(node, frame, this.#body);
      case "if":
        return this.#if(node, { ...frame, soft: true });
      case "set":
        return compileAssign(node, frame);
      case "set-block":
        return this.#assignBlock(node, frame);
      case "macro":
        return this.#macro(node, frame);
      case "call-block":
        return this.#callBlock(node, frame);
      case "filter-block":
        return this.#filterBlock(node, frame);
      case "with":
        return this.#with(node, frame);
      case "autoescape":
        return this.#autoescape(node, frame);
      case "block":
        return this.#block(node, frame);
      case "break":
      case "continue": {
        if (!frame.inLoop) throw syntaxError(`'${node.kind}' outside loop`, node.line);
        const signal: Signal = node.kind;
        return () => signal;
      }
      default:
        if (node.kind === "extends" && !frame.toplevel) {
          throw syntaxError("cannot use extend from a non top-level scope", node.line);
        }
        return (at) => {
          at.run.line = node.line;
          throw failure("TypeError", `this template stands alone: there is nothing to ${node.kind}`);
        };
    }
  }

  #if(node: If, frame: Frame): Execute {
    const branches = node.branches.map((branch) => ({
      test: compileExpression(branch.test, frame),
      weight: weightOf(branch.test),
      line: branch.line,
      body: this.#body(branch.body, frame),
    }));
    const otherwise = this.#body(node.otherwise, frame);
    return (at) => {
      for (const { test, weight, line, body } of branches) {
        at.run.line = line;
        at.run.spend(weight);
        if (truth(at.run, test(at))) return body(at);
      }
      return otherwise(at);
    };
  }

  #assignBlock(node: AssignBlock, frame: Frame): Execute {
    const { inner, enter, leave } = innerFrame(frame, node.body);
    const body = this.#body(node.body, inner);
    const filter = node.filter
      ? compileFilter(
          node.filter,
          inner,
          capturedText(inner, (at) => at.text),
        )
      : null;
    const store = compileStore(node.target, frame);
    return (at) => {
      const before = at.text;
      at.text = "";
      enter(at);
      const signal = body(at);
      const value = signal === "next" && filter ? filter(at) : at.text;
      at.text = before;
      if (signal !== "next") return signal;
      at.run.line = node.line;
      store(at, at.run.autoescape && typeof value !== "object" ? new Markup(str(at.run, value)) : value);
      leave(at);
      return "next";
    };
  }

  #macro(node: Macro, frame: Frame): Execute {
    const make = compileMacro(node, node.name, frame, this.#body);
    const store = compileStore({ kind: "name", name: node.name, use: "store", line: node.line }, frame);
    return (at) => {
      store(at, make(at));
      return "next";
    };
  }

  #callBlock(node: CallBlock, frame: Frame): Execute {
    const make = compileMacro(node, null, frame, this.#body);
    if (!node.call) {
      return (at) => {
        at.write(printed(make(at).call(at.run, [], new Map())));
        return "next";
      };
    }
    const call = compileCall(node.call, frame, (at) => ["caller", make(at)]);
    const weight = weightOf(node.call);
    return (at) => {
      at.run.line = node.line;
      at.run.spend(weight);
      at.write(printed(call(at)));
      return "next";
    };
  }

  #filterBlock(node: FilterBlock, frame: Frame): Execute {
    const { inner, enter, leave } = innerFrame(frame, [...node.body, node.filter]);
    const body = this.#body(node.body, inner);
    const filter = compileFilter(
      node.filter,
      inner,
      capturedText(inner, (at) => at.text),
    );
    return (at) => {
      const before = at.text;
      at.text = "";
      enter(at);
      const signal = body(at);
      at.run.line = node.line;
      const value = signal === "next" ? filter(at) : "";
      at.text = before;
      if (signal !== "next") return signal;
      at.write(printed(value));
      leave(at);
      return "next";
    };
  }

  #with(node: With, frame: Frame): Execute {
    const { inner, enter, leave } = innerFrame(frame, [...node.targets, ...node.body]);
    const sets = node.targets.map((target, i) => ({
      store: compileTarget(target, inner),
      value: compileExpression(node.values[i] as With["values"][number], frame),
    }));
    const body = this.#body(node.body, inner);
    const weight = node.values.reduce((sum, value) => sum + weightOf(value), 1);
    return (at) => {
      at.run.line = node.line;
      at.run.spend(weight);
      enter(at);
      for (const { store, value } of sets) store(at, value(at));
      const signal = body(at);
      if (signal === "next") leave(at);
      return signal;
    };
  }

  #autoescape(node: Autoescape, frame: Frame): Execute {
    const { inner, enter, leave } = innerFrame(frame, [node.value, ...node.body]);
    const value = compileExpression(node.value, inner);
    const autoescape = node.value.kind === "const" ? truthOfConstant(node.value.value) : null;
    const body = this.#body(node.body, { ...inner, autoescape });
    return (at) => {
      const before = at.run.autoescape;
      enter(at);
      at.run.autoescape = truth(at.run, value(at));
      const signal = body(at);
      if (signal !== "next") return signal;
      at.run.autoescape = before;
      leave(at);
      return "next";
    };
  }

  #block(node: Block, frame: Frame): Execute {
    const stores = node.scoped ? [...frame.scope.allStores()] : [];
    const reads = stores.map(
      ([name]) => [name, compileExpression({ kind: "name", name, use: "load", line: 0 }, frame)] as const,
    );
    return (at) => {
      at.run.line = node.line;
      at.run.spend(1);
      if (node.required) throw failure("TemplateRuntimeError", `Required block '${node.name}' not found`);
      const values = reads
        .map(([name, read]) => [name, read(at)] as const)
        .filter(([, value]) => !(value instanceof Undefined));
      const context = node.scoped ? at.context.derived(values) : at.context;
      const render = this.#blocks.get(node.name) as Render;
      at.write(at.run.nested(() => render(at.run, context)));
      return "next";
    };
  }
}

/** A separate scope within the same function. */
function innerFrame(
  frame: Frame,
  nodes: readonly Node[],
): { inner: Frame; enter: (at: Activation) => void; leave: (at: Activation) => void } {
  const scope = new Scope(frame.scope, frame.scope.owner);
  scope.analyze(nodes);
  return { inner: { ...frame, scope, soft: false, toplevel: false }, enter: entering(scope), leave: leaving(scope) };
}

function truthOfConstant(value: Value): boolean {
  return value !== null && value !== false && value !== 0n && value !== 0 && value !== "";
}

/** Results of call blocks and filter blocks are written unchanged, so they must be text. */
function printed(value: Value): string {
  const text = textOf(value);
  if (text === undefined) throw failure("TypeError", `a block can only print text, not ${typeName(value)}`);
  return text;
}

function compileOutput(node: Output, frame: Frame): Execute {
  const parts = node.nodes.map((part) => (part.kind === "data" ? part.text : compileExpression(part, frame)));
  const weight = node.nodes.reduce((sum, part) => sum + weightOf(part), 1);
  return (at) => {
    const { run } = at;
    run.line = node.line;
    run.spend(weight);
    for (const part of parts) {
      if (typeof part === "string") at.write(part);
      else {
        const value = part(at);
        const text = str(run, value);
        at.write(escapes(frame, at) && !(value instanceof Markup) ? escapeHtml(run, text) : text);
      }
    }
    return "next";
  };
}

function compileAssign(node: Assign, frame: Frame): Execute {
  const value = compileExpression(node.value, frame);
  const store = compileStore(node.target, frame);
  const weight = weightOf(node.value);
  return (at) => {
    at.run.line = node.line;
    at.run.spend(weight);
    store(at, value(at));
    return "next";
  };
}

/** Assignment that blocks see too, at the top level. */
function compileStore(target: Target, frame: Frame): Store {
  const store = compileTarget(target, frame);
  if (!frame.toplevel) return store;
  const names = namesIn(target).map((name) => [name, frame.scope.ref(name).index] as const);
  return (at, value) => {
    store(at, value);
    for (const [name, index] of names) at.context.own.set(name, at.variables[index] as Value);
  };
}

function namesIn(target: Target): string[] {
  if (target.kind === "name") return [target.name];
  return target.kind === "namespace" ? [] : target.items.flatMap((item) => namesIn(item as Target));
}

function blocksIn(nodes: readonly Statement[]): Block[] {
  const found = new Map<string, Block>();
  const visit = (node: Node): void => {
    if (node.kind === "block") {
      if (found.has(node.name)) throw syntaxError(`block '${node.name}' defined twice`, node.line);
      found.set(node.name, node);
    }
    for (const child of childrenOf(node)) visit(child);
  };
  for (const node of nodes) visit(node);
  return [...found.values()];
}

/** `self`: the blocks of the template, callable by name. */
class Blocks extends Custom {
  readonly type = "TemplateReference";
  readonly #blocks: ReadonlyMap<string, Render>;
  readonly #context: Context;

  constructor(blocks: ReadonlyMap<string, Render>, context: Context) {
    super();
    this.#blocks = blocks;
    this.#context = context;
  }

  override attribute(_run: Run, name: string): Value | undefined {
    const render = this.#blocks.get(name);
    if (!render) return undefined;
    return new Callable("<BlockReference>", (run) => {
      const text = run.nested(() => render(run, this.#context));
      return run.autoescape ? new Markup(text) : text;
    });
  }
}
