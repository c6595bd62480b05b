/** Assignment to names, tuples of names, and attributes of namespaces. */
import { type Activation, reader } from "./activation.ts";
import type { Frame } from "./compile-expression.ts";
import { failure, syntaxError } from "./errors.ts";
import { iterate } from "./iterate.ts";
import type { Target } from "./nodes.ts";
import { DONE, Namespace, type Value } from "./values.ts";

export type Store = (at: Activation, value: Value) => void;

export function compileTarget(target: Target, frame: Frame): Store {
  if (target.kind === "name") {
    const { index } = frame.scope.ref(target.name);
    return (at, value) => {
      at.variables[index] = value;
    };
  }
  if (target.kind === "namespace") {
    const read = reader(frame.scope.ref(target.name), frame.scope.owner);
    const { attribute } = target;
    return (at, value) => {
      const namespace = read(at);
      if (!(namespace instanceof Namespace)) {
        throw failure("TemplateRuntimeError", "cannot assign attribute on non-namespace object");
      }
      checkAttribute(attribute);
      namespace.attributes.set(attribute, value);
    };
  }
  if (target.kind !== "tuple") throw syntaxError(`can't assign to '${target.kind}'`, 0);
  const parts = target.items.map((item) => compileTarget(item as Target, frame));
  return (at, value) => {
    const items = unpack(at, value, parts.length);
    parts.forEach((store, i) => store(at, items[i] as Value));
  };
}

/** transformers reserves names that begin like this. */
export function checkAttribute(name: string): void {
  if (!name.startsWith("_")) return;
  throw failure("SecurityError", `a namespace cannot hold '${name}': names may not begin with an underscore`);
}

function unpack(at: Activation, value: Value, count: number): Value[] {
  const source = iterate(at.run, value);
  const items: Value[] = [];
  for (let item = source.next(); item !== DONE; item = source.next()) {
    at.run.spend(1);
    if (items.length === count) throw failure("ValueError", `too many values to unpack (expected ${count})`);
    items.push(item);
  }
  if (items.length < count) {
    throw failure("ValueError", `not enough values to unpack (expected ${count}, got ${items.length})`);
  }
  return items;
}
