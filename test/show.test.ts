import { test } from "uvu";
import * as assert from "uvu/assert";
import { show, showSentence, showText } from "../src/show.ts";

test("values stand on one line as JSON has them, or are named", () => {
  assert.is(show({ a: [1, "x\n", null, true], b: {} }), '{"a":[1,"x\\n",null,true],"b":{}}');
  assert.is(show([Number.NaN, -Infinity, -0, 10n, undefined, () => 1]), "[NaN,-Infinity,0,10n,nothing,a function]");
  assert.is(show(new Float32Array(3)), "Float32Array(3)");
  assert.is(show([new Map([[1, 2]]), new Date(0)]), "[Map(1),Date]");
  assert.is(show({ toJSON: () => "lies" }), '{"toJSON":a function}');
});

test("what is long is cut at the bound, between characters", () => {
  assert.is(show("x".repeat(200)).length, 80);
  assert.is(show("x".repeat(78)), `"${"x".repeat(78)}"`);
  assert.is(show("x".repeat(79)), `"${"x".repeat(78)}…`);
  assert.is(show("😀".repeat(9), 6), '"😀😀…');
  assert.is(showText("😀".repeat(9), 6), "😀😀…");
  assert.is(showText("12345", 5), "12345");
  assert.is(showText("123456", 5), "1234…");
  assert.is(show([1, 2, 3, 4, 5], 6), "[1,2,…");
});

test("control characters and marks that reorder text are escaped", () => {
  assert.is(show("\u001b[31m\u009b\u202e"), '"\\u001b[31m\\u009b\\u202e"');
  assert.is(showText("a\nb\u2028"), "a\\nb\\u2028");
  assert.is(showSentence('say "\u001b\\" twice\n\u2028', 80), 'say "\\u001b\\" twice\\u000a\\u2028');
  assert.is(showSentence("a sentence", 5), "a se…");
});

test("deep, huge and circular values take no time", () => {
  const deep = JSON.parse("[".repeat(1_000_000) + "]".repeat(1_000_000));
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  const text = "y".repeat(50_000_000);
  const array = new Array(10_000_000).fill(7);
  const begun = performance.now();
  assert.is(show(deep), `${"[".repeat(79)}…`);
  assert.is(show(text).length, 80);
  assert.is(show(array).length, 80);
  assert.match(show(circular), /^\{"self":\{"self".*…$/);
  assert.ok(performance.now() - begun < 1000);
});

test("no getter is called", () => {
  const value = {
    get trap(): string {
      throw new Error("called");
    },
  };
  assert.is(show(value), '{"trap":…}');
});

test.run();
