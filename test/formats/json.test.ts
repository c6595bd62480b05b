import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseJson, pythonJson } from "../../src/formats/json.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { readJson } from "../../src/formats/source.ts";
import { refusal } from "./refusal.ts";

const parse = (text: string) => parseJson(text, "a.json");

test("NaN and the infinities are numbers, as Python writes them, and stay text inside strings", () => {
  assert.equal(parse('{"a":[0.0,Infinity,-Infinity],"b":"NaN, \\"Infinity\\"","NaN":1}'), {
    a: [0, Infinity, -Infinity],
    b: 'NaN, "Infinity"',
    NaN: 1,
  });
  assert.ok(Number.isNaN((parse('[NaN,"NaN","NaN~"]') as number[])[0]));
  assert.equal((parse('[NaN,"NaN","NaN~"]') as unknown[]).slice(1), ["NaN", "NaN~"]);
});

test("of a key given twice the last counts", () => {
  assert.equal(parse('{"a":1,"a":2}'), { a: 2 });
});

test("what is not JSON is refused, naming the file and the place in it", async () => {
  for (const text of ["{", "[1,]", "nan", "-NaN", "{'a':1}", '"a', "Infinit", "[NaN", "1 2"]) {
    await refusal("bad_file", () => parse(text), "a.json: not valid JSON");
  }
});

test("nesting is bounded, whatever the strings hold", async () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  assert.ok(Array.isArray(parse(nested(512))));
  await refusal("bad_file", () => parse(nested(513)), "512 levels");
  const begun = performance.now();
  await refusal("bad_file", () => parse(nested(5_000_000)), "512 levels");
  await refusal("bad_file", () => parse('{"a":'.repeat(1_000_000)), "512 levels");
  assert.ok(performance.now() - begun < 500);
  assert.equal(parse(JSON.stringify(["[".repeat(1000), '\\"{'.repeat(1000)])), ["[".repeat(1000), '\\"{'.repeat(1000)]);
});

test("a byte order mark is dropped", async () => {
  const source = await openSource([new File(['\ufeff{"a":1}'], "a.json")]);
  assert.equal(await readJson(source, "a.json"), { a: 1 });
});

test("what Python reads is written as Python writes it", () => {
  const value = { a: [Infinity, -Infinity, 1.5, null], Infinity: "Infinity", b: { c: "~NaN~" } };
  const text = pythonJson(value);
  assert.match(text, /"a": \[\n {4}Infinity,\n {4}-Infinity,\n {4}1\.5,\n {4}null\n {2}\]/);
  assert.equal(parseJson(text, "a file"), value);
  assert.ok(Number.isNaN((parseJson(pythonJson({ n: Number.NaN }), "a file") as { n: number }).n));
});

test.run();
