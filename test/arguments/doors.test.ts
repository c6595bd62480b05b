/**
 * Every public function and method takes odd values for every argument and field: it succeeds, or refuses with a typed
 * error that names the field. A function that the package exports and this programme does not know fails it.
 * SHOW_ODD=N prints how many calls there were, and shows up to N problems. In Node alone: thousands of calls take a while,
 * and no check depends on where it runs.
 */
import { env } from "node:process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ObjectRule } from "../../src/arguments/fields.ts";
import { EdgeAttribution } from "../../src/attribution/attribute-edges.ts";
import * as sluice from "../../src/index.ts";
import { Batch } from "../../src/model/batch.ts";
import { Generation } from "../../src/model/generation.ts";
import { Model } from "../../src/model/model.ts";
import { Session } from "../../src/model/session.ts";
import { oddValues } from "./odd-values.ts";
import { type PublicCall, publicCalls } from "./public-calls.ts";

let calls: Awaited<ReturnType<typeof publicCalls>>;
test.before(async () => {
  calls = await publicCalls();
});
test.after(() => calls.dispose());

const LASTING = new Set(["options", "signal"]);
const UNABORTED = new Set(["undefined", "an object", "an object without a prototype"]);

/** Exports without arguments, or for this package only. */
const WITHOUT_ARGUMENTS = ["constructor", "dispose", "resources", "result", "results"];
const INTERNAL = ["plan", "openSequences", "withStages"];

test("every exported function and every method has a door", () => {
  const functions = Object.entries(sluice).filter(
    ([name, value]) => typeof value === "function" && name !== "SluiceError" && !WITHOUT_ARGUMENTS.includes(name),
  );
  assert.equal(functions.map(([name]) => name).sort(), Object.keys(calls.functions).sort());
  for (const type of [Model, Session, Batch, Generation, EdgeAttribution]) {
    const known = calls.methods.filter(([owner]) => owner instanceof type).flatMap(([, own]) => Object.keys(own));
    const methods = Object.entries(Object.getOwnPropertyDescriptors(type.prototype))
      .filter(([name, { value }]) => typeof value === "function" && ![...WITHOUT_ARGUMENTS, ...INTERNAL].includes(name))
      .map(([name]) => name);
    assert.equal(methods.sort(), [...new Set(known)].sort(), type.name);
  }
});

/** The outcome of a call: nothing if all is well, else the fault. */
async function judge(call: PublicCall, given: readonly unknown[], field: string): Promise<string | undefined> {
  try {
    const result = call.call(...given);
    await (result instanceof Generation ? result.results() : result);
    return undefined;
  } catch (error) {
    if (!(error instanceof sluice.SluiceError)) return `a raw error: ${String(error).slice(0, 200)}`;
    if (error.message.length > 5000) return `a message of ${error.message.length} characters`;
    // Beyond the door, a function says in its own words what does not go together.
    if (!error.message.startsWith(`${call.door.call}: `)) return undefined;
    if (field === "options" || error.message.includes(field)) return undefined;
    return `does not name ${field}: ${error.message.slice(0, 200)}`;
  }
}

/** Every place of a value in the arguments of a call: the arguments, and fields within them as deep as rules go. */
function* placesIn(call: PublicCall): Generator<{ field: string; put: (value: unknown) => readonly unknown[] }> {
  for (const [i, [name, rule]] of call.door.arguments.entries()) {
    const put = (value: unknown) => call.given.map((given, j) => (i === j ? value : given));
    yield { field: name, put };
    yield* fieldsIn(rule, call.given[i], put);
  }
}

function* fieldsIn(
  rule: unknown,
  given: unknown,
  put: (value: unknown) => readonly unknown[],
): Generator<{ field: string; put: (value: unknown) => readonly unknown[] }> {
  const { fields } = rule as Partial<ObjectRule<unknown, never>>;
  if (!fields) return;
  // Where nothing is given, one field alone would miss those that are needed beside it.
  if (given === undefined && Object.values(fields).some(({ isNeeded }) => isNeeded)) return;
  const object = (given ?? {}) as Readonly<Record<string, unknown>>;
  for (const [field, inner] of Object.entries(fields)) {
    const into = (value: unknown) => put({ ...object, [field]: value });
    yield { field, put: into };
    yield* fieldsIn(inner, object[field], into);
  }
}

test("odd values are taken, or refused with the field's name", async () => {
  const all = [...Object.entries(calls.functions), ...calls.methods.flatMap(([, own]) => Object.entries(own))];
  const problems: string[] = [];
  let tried = 0;
  for (const [name, call] of all) {
    const plain = await judge(call, call.given, name);
    if (plain?.startsWith("a raw")) problems.push(`${name}(as it should be): ${plain}`);
    for (const { field, put } of placesIn(call)) {
      for (const [odd, make] of oddValues) {
        // Base arguments are aborted; without their signal, calls would run for minutes.
        if (LASTING.has(field) && UNABORTED.has(odd)) continue;
        tried++;
        const problem = await judge(call, put(make()), field);
        if (problem) problems.push(`${name}(${field} = ${odd}): ${problem}`);
      }
    }
  }
  if (env.SHOW_ODD) console.log(`${tried} odd calls, ${problems.length} problems`);
  assert.equal(problems.slice(0, Number(env.SHOW_ODD ?? 20)), []);
  assert.ok(tried > 5000);
});

test("an option that nothing reads is refused, with the one that was meant", async () => {
  for (const [name, call] of [
    ...Object.entries(calls.functions),
    ...calls.methods.flatMap(([, own]) => Object.entries(own)),
  ]) {
    const at = call.door.arguments.findIndex(([argument]) => argument === "options");
    if (at < 0) continue;
    const given = call.given.map((value, i) => (i === at ? { ...(value as object), nonsense: 1 } : value));
    const refusal = await judge(call, given, "\u0000");
    assert.match(refusal ?? "taken", /: nonsense is not known/, name);
  }
  const [, model] = calls.methods[0] as (typeof calls.methods)[number];
  const meant = async (options: object) => judge(model.generate as PublicCall, [[1], options], "\u0000");
  for (const [given, ours] of [
    ["maxTokens", "maxNewTokens"],
    ["max_new_tokens", "maxNewTokens"],
    ["top_k", "topK"],
    ["repeat_penalty", "repetitionPenalty"],
    ["temprature", "temperature"],
  ] as const) {
    assert.match((await meant({ [given]: 1 })) ?? "taken", new RegExp(`Did you mean ${ours}\\?`), given);
  }
});

test("a number's text is named as one", () => {
  const [session] = calls.methods[1] as readonly [Session, unknown];
  assert.throws(
    () => session.set("push", { strength: "0.5" as unknown as number }),
    /session\.set: change\.strength is the string "0\.5"; it takes a finite number/,
  );
});

test.run();
