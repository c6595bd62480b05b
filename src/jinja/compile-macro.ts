/** Macros, and the blocks passed to them: functions that return text. */
import { Activation, type Execute, entering } from "./activation.ts";
import { compileExpression, type Evaluate, type Frame } from "./compile-expression.ts";
import { failure, syntaxError } from "./errors.ts";
import type { Name, Signature, Statement } from "./nodes.ts";
import type { Run } from "./run.ts";
import { FunctionScope, Scope, type Slot, undeclared } from "./scopes.ts";
import {
  type Arguments,
  Callable,
  Dict,
  type Keywords,
  Markup,
  NO_KEYWORDS,
  Tuple,
  Undefined,
  type Value,
} from "./values.ts";

export type CompileBody = (nodes: readonly Statement[], frame: Frame) => Execute;

interface Shape {
  readonly name: string | null;
  readonly names: readonly string[];
  /** Whether the body uses the special variables. */
  readonly caller: boolean;
  readonly kwargs: boolean;
  readonly varargs: boolean;
}

/** @param name null for the block of a call @returns what makes the macro where it is defined */
export function compileMacro(
  node: Signature,
  name: string | null,
  frame: Frame,
  compileBody: CompileBody,
): (at: Activation) => Callable {
  const owner = new FunctionScope(frame.scope.owner);
  const scope = new Scope(frame.scope, owner);
  const inner: Frame = { ...frame, scope, soft: false, toplevel: false, inLoop: false };
  const nodes = [...node.args, ...node.defaults, ...node.body];
  scope.analyze(nodes);
  const used = undeclared(node.body, ["caller", "kwargs", "varargs"], owner.budget);
  const names = node.args.map((arg) => arg.name);
  checkCaller(node, names, used.has("caller"));
  const slots: Slot[] = names.map((arg) => scope.ref(arg));
  const special = (one: string): boolean => {
    const wanted = used.has(one) && !names.includes(one);
    if (wanted) slots.push(scope.declareParameter(one));
    return wanted;
  };
  const shape: Shape = {
    name,
    names,
    caller: special("caller") || used.has("caller"),
    kwargs: special("kwargs"),
    varargs: special("varargs"),
  };
  scope.analyze(nodes);
  const defaults = node.args.map((arg, i) => compileDefault(node, arg, i, inner));
  const enter = entering(scope);
  const body = compileBody(node.body, inner);
  return (at) => {
    // A function and its attributes; each call fills its parameters.
    at.run.spend(8 + names.length);
    const invoke = (run: Run, values: readonly (Value | undefined)[]): Value => {
      run.spend(slots.length);
      const activation = new Activation(run, at.context, at, owner);
      slots.forEach(({ index }, i) => {
        activation.variables[index] = values[i];
      });
      enter(activation);
      defaults.forEach((value, i) => {
        const { index } = slots[i] as Slot;
        if (activation.variables[index] === undefined) activation.variables[index] = value(activation);
      });
      body(activation);
      return run.autoescape ? new Markup(activation.text) : activation.text;
    };
    return macroOf(shape, invoke);
  };
}

function compileDefault(node: Signature, arg: Name, index: number, frame: Frame): Evaluate {
  const value = node.defaults[index - (node.args.length - node.defaults.length)];
  if (value) return compileExpression(value, frame);
  return () => new Undefined(`parameter '${arg.name}' was not provided`);
}

/** A parameter named `caller` needs a default if the body calls it. */
function checkCaller(node: Signature, names: readonly string[], used: boolean): void {
  const place = names.indexOf("caller");
  if (!used || place < 0 || place >= names.length - node.defaults.length) return;
  throw syntaxError(
    'When defining macros or call blocks the special "caller" argument must be omitted or be given a default.',
    node.line,
  );
}

function macroOf(shape: Shape, invoke: (run: Run, values: readonly (Value | undefined)[]) => Value): Callable {
  const { name, names } = shape;
  const attributes = new Map<string, Value>([
    ["name", name],
    ["arguments", new Tuple([...names])],
    ["catch_kwargs", shape.kwargs],
    ["catch_varargs", shape.varargs],
    ["caller", shape.caller],
    ["explicit_caller", names.includes("caller")],
  ]);
  const call = (run: Run, args: Arguments, keywords: Keywords): Value =>
    run.nested(() => invoke(run, argumentsOf(shape, args, keywords)));
  return new Callable(`<Macro ${name === null ? "anonymous" : `'${name}'`}>`, call, "Macro", attributes);
}

/** Arguments in the order of the parameters; missing ones are undefined. */
function argumentsOf(shape: Shape, args: Arguments, keywords: Keywords): (Value | undefined)[] {
  const { names, name } = shape;
  const rest = keywords.size > 0 ? new Map(keywords) : NO_KEYWORDS;
  const take = (key: string): Value | undefined => {
    const value = rest.get(key);
    if (value !== undefined) (rest as Map<string, Value>).delete(key);
    return value;
  };
  const values: (Value | undefined)[] = args.slice(0, names.length);
  let foundCaller = values.length === names.length && names.includes("caller");
  for (const parameter of names.slice(values.length)) {
    values.push(take(parameter));
    foundCaller ||= parameter === "caller";
  }
  if (shape.caller && !foundCaller) {
    const caller = take("caller");
    values.push(caller === undefined || caller === null ? new Undefined("No caller defined") : caller);
  }
  if (shape.kwargs) values.push(Dict.from(rest));
  else if (rest.size > 0) {
    throw failure("TypeError", `macro '${name}' takes no keyword argument '${[...rest.keys()][0]}'`);
  }
  if (shape.varargs) values.push(new Tuple(args.slice(names.length)));
  else if (args.length > names.length) {
    throw failure("TypeError", `macro '${name}' takes not more than ${names.length} argument(s)`);
  }
  return values;
}
