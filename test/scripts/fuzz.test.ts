/** 2,000 cases of every format that `npm run fuzz` tries; and that the fuzzer sees what is wrong. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { filesOf, planOf } from "../../scripts/fuzz/cases.ts";
import { editJson } from "../../scripts/fuzz/json-edits.ts";
import { readJsonText } from "../../scripts/fuzz/json-places.ts";
import { overspent, tryFiles } from "../../scripts/fuzz/outcome.ts";
import { runRanges } from "../../scripts/fuzz/supervise.ts";
import { Refusal, type Target } from "../../scripts/fuzz/target.ts";
import { targets } from "../../scripts/fuzz/targets.ts";
import { readGenerationConfig } from "../../src/architectures/generation-config.ts";
import { SluiceError } from "../../src/errors.ts";
import { fromSteerVectorRequest } from "../../src/serve/easy-steer.ts";
import { completionFields, readFields } from "../../src/serve/fields.ts";
import { problemOf } from "../../src/serve/problem.ts";

/** Cases of each format. `npm run fuzz` tries more; docs/trust.md says what a night tried. */
const CASES = 2000;
const SEED = 21;

/**
 * One process tries all, and nothing here depends on the clock but this: a process that reports nothing for 20 s hangs.
 * A case may take a second of the processor, and what takes more is tried again alone before it counts.
 */
test("damaged, careless and hostile files and requests are read rightly or refused, in time and memory", async () => {
  const ranges = targets.map(({ name }) => ({ target: name, first: 0, end: CASES }));
  const faults: string[] = [];
  let tried = 0;
  for await (const { target, faults: own, results } of runRanges(ranges, SEED)) {
    for (const { index, what } of own) {
      faults.push(`npm run fuzz -- --target ${target} --seed ${SEED} --only ${index}: ${what}`);
    }
    for (const count of results.values()) tried += count;
  }
  assert.equal(faults, []);
  assert.is(tried, targets.length * CASES);
});

test("a case is the same whenever it is made", () => {
  const target = targets.find(({ name }) => name === "bundle") as Target;
  const sets = target.seeds();
  const made = [0, 1].map(() => [...filesOf(target, sets, planOf(target, sets.length, 3, 7))]);
  assert.equal(made[0], made[1]);
});

test("edits of JSON change one place", () => {
  const read = readJsonText('{ "a": [1, "x\\"]", {"b": null}], "c": 2 }');
  assert.ok(read);
  const edited = read.places.map((_, i) => {
    const at = i / read.places.length;
    return editJson(read, { kind: "json", at, change: "remove", pick: 0 });
  });
  assert.equal(edited, [
    "",
    '{ "c": 2 }',
    '{ "a": ["x\\"]", {"b": null}], "c": 2 }',
    '{ "a": [1, {"b": null}], "c": 2 }',
    '{ "a": [1, "x\\"]"], "c": 2 }',
    '{ "a": [1, "x\\"]", {}], "c": 2 }',
    '{ "a": [1, "x\\"]", {"b": null}] }',
  ]);
});

test("what is no typed error, too slow or too large is a fault", async () => {
  const outcomeOf = (read: Target["read"]) =>
    tryFiles({ name: "x", seeds: () => [], read }, new Map(), () => 0).then(({ result }) => result);
  const throwing = (error: Error) => outcomeOf(() => Promise.reject(error));
  assert.is(await outcomeOf(async () => undefined), "read");
  assert.is(await throwing(new SluiceError("bad_file", "It is damaged")), "bad_file");
  assert.is(await throwing(new Refusal("400")), "400");
  assert.is(await throwing(new TypeError("x is not a function")), "fault");
  assert.is(await throwing(new SluiceError("bad_file", "This is a defect in Sluice")), "fault");
  assert.is(await throwing(new SluiceError("bad_file", "x".repeat(5000))), "fault");
  const spent = { result: "read", said: "", cpuMs: 1, grownMb: 1 };
  assert.is(overspent(spent, new Map()), null);
  assert.match(overspent({ ...spent, cpuMs: 1500 }, new Map()) ?? "", /processor/);
  assert.match(overspent({ ...spent, grownMb: 70 }, new Map()) ?? "", /memory/);
  assert.is(overspent({ ...spent, cpuMs: 1500 }, new Map([["a", new Uint8Array(20e6)]])), null);
});

// Found by the fuzzer.
test("defaults of generation_config.json are what generate takes", () => {
  const notices: string[] = [];
  const json = { do_sample: true, temperature: 1e-9, repetition_penalty: 1e-300 };
  const { defaults } = readGenerationConfig(json, "generation_config.json", 10, (text) => notices.push(text));
  assert.equal([defaults.temperature, defaults.repetitionPenalty], [1, undefined]);
  assert.is(notices.length, 2);
});

test("fields named as JavaScript's own are named as they are in the server's errors", () => {
  for (const field of ["hasOwnProperty", "__defineGetter__", "toString"]) {
    const { message, param } = problemOf(new SluiceError("usage", `completions: ${field} is not known`, { field }));
    assert.equal([message, param], [`completions: ${field} is not known`, field]);
  }
});

test("a field's name of any length is refused at once, in a short error", () => {
  const began = performance.now();
  assert.throws(
    () => readFields(completionFields, "completions", { prompt: "Once", ["x".repeat(1_000_000)]: 1 }),
    ({ message }: Error) => message.length < 1000,
  );
  assert.ok(performance.now() - began < 2000);
  const steering = { steer_vector_name: "push", ["x".repeat(100_000)]: 1 };
  assert.throws(
    () => fromSteerVectorRequest(steering, undefined as never),
    ({ message }: Error) => message.length < 1000 && /has no exact counterpart/.test(message),
  );
});

test.run();
