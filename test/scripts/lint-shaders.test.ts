/** Each rule of the shader lint, on a shader that breaks it and on one that does not. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { uncovered } from "../../scripts/shader-lint/coverage.ts";
import { compareInterface } from "../../scripts/shader-lint/interfaces.ts";
import { kernelsToLint } from "../../scripts/shader-lint/kernels.ts";
import { lintShader } from "../../scripts/shader-lint/rules.ts";
import type { Kernel } from "../../src/kernels/kernel.ts";
import { linkShader } from "../../src/kernels/link.ts";

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

/** One kernel for each entry with the same conditions: the others differ in constants alone. */
function distinctKernels(): readonly Kernel[] {
  const kernels = kernelsToLint().map((kernel): [string, Kernel] => {
    const { shader, bindings, args } = kernel;
    return [JSON.stringify([shader.entry, shader.conditions, bindings, args]), kernel];
  });
  return [...new Map(kernels).values()];
}

/** A list in which the first two of a kind have changed places. */
function swapped<T>(list: readonly T[], alike: (a: T, b: T) => boolean, exchange: (a: T, b: T) => readonly [T, T]) {
  for (const [i, a] of list.entries()) {
    const j = list.findIndex((b, at) => at > i && alike(a, b));
    const b = list[j];
    if (b === undefined) continue;
    const [first, second] = exchange(a, b);
    return list.map((each, at) => (at === i ? first : at === j ? second : each));
  }
  return undefined;
}

test("two args or two bindings of any kernel that change places are reported", async () => {
  let swaps = 0;
  for (const kernel of distinctKernels()) {
    const code = await linkShader(kernel.shader);
    assert.equal(compareInterface(kernel, code), [], kernel.name);
    const bound = kernel.bindings.filter(({ name }) => new RegExp(`> ${name}:`).test(code));
    const hasArgs = bound.some(({ access }) => access === "args");
    const args = swapped(
      hasArgs ? kernel.args : [],
      (a, b) => a.type === b.type && a.vec4s === b.vec4s,
      (a, b) => [b, a],
    );
    const bindings = swapped(
      bound,
      (a, b) => a.access === b.access,
      (a, b) => [
        { ...a, name: b.name },
        { ...b, name: a.name },
      ],
    );
    if (args) assert.is.not(compareInterface({ ...kernel, args }, code).length, 0, `args of ${kernel.name}`);
    if (bindings)
      assert.is.not(compareInterface({ ...kernel, bindings }, code).length, 0, `bindings of ${kernel.name}`);
    swaps += (args ? 1 : 0) + (bindings ? 1 : 0);
  }
  assert.ok(swaps > 500, `only ${swaps} kernels had two that could change places`);
});

test("a shader or a condition that no kernel of the list has is reported", () => {
  const kernel = { shader: { entry: "one", conditions: { a: true, b: false } } };
  const shaders = {
    one: "import package::lib::two::{x, y};\n@if(a) const A = 1;\n@compute fn main() {}",
    "lib/two": "@if(a || !(b && c)) fn x() {}\nfn y() {}",
    three: "@compute fn main() {}",
  };
  assert.equal(uncovered([kernel], shaders), [
    "no kernel with b of shaders/lib/two.wgsl is looked at",
    "no kernel with c of shaders/lib/two.wgsl is looked at",
    "no kernel of shaders/three.wgsl is looked at",
  ]);
});

test.run();
