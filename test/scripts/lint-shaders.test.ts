/** Each rule of the shader lint, on a shader that breaks it and on one that does not. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { lintShader } from "../../scripts/shader-lint/rules.ts";

const HEAD = `
struct Pair { a: f32, b: vec4<f32>, }
const THREADS = 64u;
const SPAN = THREADS / 8u;
@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> input: array<vec4f>;
@group(1) @binding(2) var<storage, read_write> output: array<vec4f>;
`;

const rulesOf = (body: string): readonly string[] => lintShader(HEAD + body).map(({ rule }) => rule);
const main = (body: string): string => `@compute @workgroup_size(64) fn main() {\n${body}\n}`;

test("workgroup memory is added up, through constants, arrays and structures", () => {
  const full = "var<workgroup> tile: array<array<vec4f, SPAN>, THREADS * 2u>;"; // 8 · 128 · 16 bytes: all of it
  assert.equal(rulesOf(full), []);
  assert.equal(rulesOf(`${full}\nvar<workgroup> one: f32;`), ["workgroup-memory"]);
  assert.equal(rulesOf("var<workgroup> pairs: array<Pair, 512>;"), []);
  assert.equal(rulesOf("var<workgroup> pairs: array<Pair, 513>;"), ["workgroup-memory"]);
  assert.equal(rulesOf("var<workgroup> what: array<f32, UNKNOWN>;"), ["workgroup-memory"]);
});

test("a ninth storage buffer is refused", () => {
  const more = (count: number) =>
    Array.from({ length: count }, (_, i) => `@binding(${i + 3}) var<storage, read> more${i}: array<f32>;`).join("\n");
  assert.equal(rulesOf(more(6)), []);
  assert.equal(rulesOf(more(7)), ["storage-buffers"]);
});

test("a thread's own array may be indexed by a variable outside of loops, and by constants within", () => {
  const declared = "var sums: array<f32, 4>; let k = args.k;";
  assert.equal(rulesOf(main(`${declared} sums[k] = 1.0;`)), []);
  assert.equal(rulesOf(main(`${declared} for (var i = 0u; i < SPAN; i++) { sums[2u] += 1.0; sums[SPAN] = 2.0; }`)), []);
  assert.equal(rulesOf(main(`${declared} for (var i = 0u; i < SPAN; i++) { sums[i] += 1.0; }`)), ["private-array"]);
  assert.equal(rulesOf(`var<private> own: array<f32, 4>;\n${main("while (true) { own[args.k] = 1.0; }")}`), [
    "private-array",
  ]);
});

test("loops end where the compiler sees it: at constants, arguments and steps, not at data", () => {
  assert.equal(rulesOf(main("for (var i = args.first; i < args.end; i++) { output[i] = input[i]; }")), []);
  assert.equal(rulesOf(main("let n = u32(input[0].x); for (var i = 0u; i < n; i++) {}")), ["loop-bound"]);
  assert.equal(rulesOf(main("loop { break; }")), ["loop-bound"]);
  // Through a call, a return, a field and an assignment.
  const through = `
fn count_of(i: u32) -> u32 { return u32(input[i].y); }
fn walk(end: u32) { for (var i = 0u; i < end; i++) {} }
${main("var place = Place(0u); place.end = count_of(3u); walk(place.end);")}`;
  assert.equal(rulesOf(through), ["loop-bound"]);
  assert.equal(rulesOf(through.replace("walk(place.end)", "walk(args.end)")), []);
  // A field is no variable of that name.
  assert.equal(rulesOf(main("let end = u32(input[0].x); for (var i = 0u; i < args.end; i++) {}")), []);
});

test("a function with a value does not end in a loop", () => {
  const endless = "// By data: ends there.\nloop { n = n / 2u; if (n < 2u) { RETURN } }";
  const withValue = (body: string) => rulesOf(`fn halved(m: u32) -> u32 { var n = m; ${body} }`);
  assert.equal(withValue(endless.replace("RETURN", "return n;")), ["return"]);
  assert.equal(withValue(`if (m > 1u) { return 1u; } else { ${endless.replace("RETURN", "return n;")} }`), ["return"]);
  assert.equal(withValue(`${endless.replace("RETURN", "break;")} return n;`), []);
  assert.equal(withValue("if (m > 1u) { return 1u; } else { return n; }"), []);
  assert.equal(rulesOf(main("for (var i = 0u; i < SPAN; i++) { output[i] = input[i]; }")), []);
});

test("no barrier stands behind a condition on data, in whatever function it is", () => {
  assert.equal(rulesOf(main("if (args.on != 0u) { workgroupBarrier(); }")), []);
  assert.equal(rulesOf(main("if (input[0].x > 0.0) { workgroupBarrier(); }")), ["barrier"]);
  const nested = "fn meet() { storageBarrier(); }\nfn total() -> f32 { meet(); return 1.0; }\n";
  assert.equal(rulesOf(nested + main("let x = input[1]; if (x.y > 0.0) { output[0].x = total(); }")), ["barrier"]);
  assert.equal(rulesOf(nested + main("let x = input[1]; if (x.y > 0.0) { output[0].x = 1.0; } meet();")), []);
});

test("what is meant is said before it, with a reason", () => {
  const loop = "for (var i = 0u; i < u32(input[0].x); i++) {}";
  assert.equal(rulesOf(main(`// By data: the stages of a bundle.\n${loop}`)), []);
  assert.equal(rulesOf(main(`// By data:\n${loop}`)), ["loop-bound"]);
  assert.equal(rulesOf(main(`// The stages of a bundle.\n${loop}`)), ["loop-bound"]);
  assert.equal(
    rulesOf(main(`/* By data: a setting, the same in all threads. */ if (input[0].x > 0.0) { workgroupBarrier(); }`)),
    [],
  );
});

test("a finding names the line", () => {
  const code = `${HEAD}fn f() {\n  for (var i = 0u; i < u32(input[0].x); i++) {}\n}\n`;
  const [finding] = lintShader(code);
  assert.is(code.split("\n")[(finding?.line ?? 0) - 1]?.trim().startsWith("for"), true);
});

test.run();
