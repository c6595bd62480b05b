/** `map`, `select` and similar filters, which take filters and tests by name. */
import { attributeGetter, type Getter } from "./attributes.ts";
import { failure } from "./errors.ts";
import { iterate } from "./iterate.ts";
import type { Native } from "./natives.ts";
import { truth } from "./operators.ts";
import type { Run } from "./run.ts";
import { type Arguments, DONE, Iteration, type Keywords, textOf, Undefined, type Value } from "./values.ts";

type Names = ReadonlyMap<string, Native>;

/** Finds a filter or test that a template names while it runs. */
function named(kind: "filter" | "test", table: Names, name: Value): Native {
  const text = textOf(name);
  const found = text === undefined ? undefined : table.get(text);
  if (found) return found;
  const what = text === undefined ? "of that kind" : `named '${text.slice(0, 60)}'`;
  const advice = name instanceof Undefined ? " (did you forget to quote the callable name?)" : "";
  throw failure("TemplateRuntimeError", `No ${kind} ${what}.${advice}`);
}

/** Iterates over a non-empty value; nothing is read before the first item is requested. */
function generator(title: string, run: Run, self: Value, prepare: () => (item: Value) => Value | undefined): Iteration {
  let source: Iteration | null = null;
  let apply: ((item: Value) => Value | undefined) | null = null;
  return new Iteration(() => {
    if (!source || !apply) {
      if (!truth(run, self)) return DONE;
      apply = prepare();
      source = iterate(run, self);
    }
    for (let item = source.next(); item !== DONE; item = source.next()) {
      run.spend(2);
      const result = apply(item);
      if (result !== undefined) return result;
    }
    return DONE;
  }, `generator object ${title}`);
}

function mapping(run: Run, args: Arguments, keywords: Keywords, filters: () => Names): (item: Value) => Value {
  const attribute = keywords.get("attribute");
  if (args.length === 0 && attribute !== undefined) {
    const unknown = [...keywords.keys()].find((key) => key !== "attribute" && key !== "default");
    if (unknown !== undefined) throw failure("FilterArgumentError", `Unexpected keyword argument '${unknown}'`);
    const getter = attributeGetter(attribute, true, keywords.get("default") ?? null);
    return (item) => getter(run, item);
  }
  const [name, ...rest] = args;
  if (name === undefined) throw failure("FilterArgumentError", "map requires a filter argument");
  return (item) => named("filter", filters(), name)(run, item, rest, keywords);
}

/** @param wanted whether items that pass the test are kept @param byAttribute whether the test is of an attribute */
function selection(title: string, wanted: boolean, byAttribute: boolean, tests: Names): Native {
  return (run, self, args, keywords) =>
    generator(title, run, self, () => {
      let rest = args;
      let getter: Getter | null = null;
      if (byAttribute) {
        const [attribute] = args;
        if (attribute === undefined) throw failure("FilterArgumentError", "Missing parameter for attribute name");
        getter = attributeGetter(attribute);
        rest = args.slice(1);
      }
      const [name, ...more] = rest;
      return (item) => {
        const value = getter ? getter(run, item) : item;
        const holds = name === undefined ? value : named("test", tests, name)(run, value, more, keywords);
        return truth(run, holds) === wanted ? item : undefined;
      };
    });
}

/** @param filters all filters, these among them @param tests all tests */
export function selectFilters(filters: () => Names, tests: Names): readonly (readonly [string, Native])[] {
  return [
    [
      "map",
      (run, self, args, keywords) => generator("sync_do_map", run, self, () => mapping(run, args, keywords, filters)),
    ],
    ["select", selection("sync_do_select", true, false, tests)],
    ["reject", selection("sync_do_reject", false, false, tests)],
    ["selectattr", selection("sync_do_selectattr", true, true, tests)],
    ["rejectattr", selection("sync_do_rejectattr", false, true, tests)],
  ];
}
