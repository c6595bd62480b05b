/** Each rule of the shader lint, on a shader that breaks it and on one that does not. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { uncovered } from "../../scripts/shader-lint/coverage.ts";
import { checkKernel } from "../../scripts/shader-lint/dispatches.ts";
import { dispatchesToLint, recordedToLint } from "../../scripts/shader-lint/kernels.ts";
import { lintShader } from "../../scripts/shader-lint/rules.ts";
import { compareStageLayout } from "../../scripts/shader-lint/stage-layout.ts";
import { interfaceOf, readInterface } from "../../src/kernels/interface.ts";
import { type ArgValues, inOrder, type Kernel } from "../../src/kernels/kernel.ts";
import { linkShader } from "../../src/kernels/link.ts";
import { shaderFiles } from "../../src/kernels/shaders.gen.ts";
import { packArgs } from "../../src/kernels/step.ts";

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
  const own = `var<private> own: array<f32, 4>;\n${main("while (true) { own[args.k] = 1.0; }")}`;
  assert.equal(rulesOf(own), ["private-array"]);
  assert.equal(rulesOf(`// In memory: for software devices alone.\n${own}`), []);
  assert.equal(rulesOf(`// Not in memory.\n${own}`), ["private-array"]);
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

test("no barrier depends on a condition on data, in any function", () => {
  assert.equal(rulesOf(main("if (args.on != 0u) { workgroupBarrier(); }")), []);
  assert.equal(rulesOf(main("if (input[0].x > 0.0) { workgroupBarrier(); }")), ["barrier"]);
  const nested = "fn meet() { storageBarrier(); }\nfn total() -> f32 { meet(); return 1.0; }\n";
  assert.equal(rulesOf(nested + main("let x = input[1]; if (x.y > 0.0) { output[0].x = total(); }")), ["barrier"]);
  assert.equal(rulesOf(nested + main("let x = input[1]; if (x.y > 0.0) { output[0].x = 1.0; } meet();")), []);
});

test("intended exceptions have a comment with a reason before them", () => {
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

/** What a shader is looked at with: its kernels, and the names of what a plan or an attribution gives them. */
interface Given {
  readonly label: string;
  readonly kernels: readonly Kernel[];
  readonly args: ArgValues;
  readonly bind: Readonly<object>;
}

let given: readonly Given[] | undefined;

/** One for each set of shaders and of names: `npm run lint` looks at all, which differ in conditions and constants. */
function distinctGiven(): readonly Given[] {
  given ??= [
    ...dispatchesToLint().map(({ label, candidates, args, bind }): Given => {
      return { label, kernels: candidates.map(({ kernel }) => kernel), args, bind };
    }),
    ...recordedToLint().map(({ kernel, args = {}, bind }): Given => {
      return { label: kernel.name, kernels: [kernel], args, bind };
    }),
  ].filter(firstOf(({ kernels, args, bind }) => [shadersOf(kernels), Object.keys(args), Object.keys(bind)]));
  return given;
}

function shadersOf(kernels: readonly Kernel[]): readonly string[] {
  return [...new Set(kernels.flatMap(inOrder).map(({ shader }) => shader.entry))];
}

/** Keeps the first of those whose keys are the same as JSON. */
function firstOf<T>(keyOf: (each: T) => unknown): (each: T) => boolean {
  const seen = new Set<string>();
  return (each) => {
    const key = JSON.stringify(keyOf(each));
    return !seen.has(key) && seen.add(key) !== undefined;
  };
}

test("args that change places in a shader change places in what is packed, in every shader", async () => {
  let swaps = 0;
  for (const kernel of distinctGiven().flatMap(({ kernels }) => kernels.slice(0, 1))) {
    const code = await linkShader(kernel.shader);
    const { args } = readInterface(code, kernel.name);
    const plain = args.filter(({ vec4s, type }) => vec4s === undefined && type === "u32");
    const [a, b] = plain.map(({ name }) => name);
    if (a === undefined || b === undefined) continue;
    // A name for a moment, so that neither is lost; `args.a` in the functions stays what it was.
    const declared = code.replace(/struct Args \{[^}]*\}/, (fields) =>
      fields.replace(`${a}:`, "other:").replace(`${b}:`, `${a}:`).replace("other:", `${b}:`),
    );
    const values = Object.fromEntries(
      args.map(({ name, vec4s }, i) => [name, vec4s === undefined ? i + 1 : Array<number>(4 * vec4s).fill(i + 1)]),
    );
    const before = packArgs({ name: kernel.name, args }, values);
    const after = packArgs({ name: kernel.name, args: readInterface(declared, kernel.name).args }, values);
    const [at, to] = [before.indexOf(values[a] as number), before.indexOf(values[b] as number)];
    assert.is(after[at], values[b], `${a} of ${kernel.name}`);
    assert.is(after[to], values[a], `${b} of ${kernel.name}`);
    swaps++;
  }
  assert.ok(swaps > 100, `only ${swaps} had two args that could change places`);
});

test("a value or a buffer under another name is reported, for every kind of dispatch", async () => {
  let planted = 0;
  for (const { label, kernels, args, bind } of distinctGiven()) {
    const check = async (changed: { readonly args?: ArgValues; readonly bind?: Readonly<object> }): Promise<string> => {
      const found = await Promise.all(kernels.map((kernel) => checkKernel(kernel, { label, args, bind, ...changed })));
      return found.flat().join("\n");
    };
    assert.is(await check({}), "");
    for (const name of Object.keys(args)) {
      const { [name]: value, ...others } = args;
      const text = await check({ args: { ...others, [`${name}_`]: value ?? 0 } });
      assert.ok(text.includes(`no value for args.${name}`), `${label} without ${name}: ${text}`);
      assert.ok(text.includes(`a value for args.${name}_`), `${label} with ${name}_: ${text}`);
      planted++;
    }
    const used = (await Promise.all(kernels.flatMap(inOrder).map(interfaceOf))).flatMap(({ bindings }) => bindings);
    for (const name of new Set(used.filter(({ access }) => access !== "args").map((binding) => binding.name))) {
      const others = Object.fromEntries(Object.entries(bind).filter(([other]) => other !== name));
      assert.ok(
        (await check({ bind: others })).includes(`nothing is connected to ${name}`),
        `${label} without ${name}`,
      );
      planted++;
    }
  }
  assert.ok(planted > 1000, `only ${planted} were planted`);
});

test("a structure of the stage table that a shader reads in another order is reported", () => {
  assert.equal(compareStageLayout(shaderFiles), []);
  const changed = (from: string, to: string): readonly string[] => {
    const affine = shaderFiles["stages/affine"] as string;
    assert.ok(affine.includes(from));
    return compareStageLayout({ ...shaderFiles, "stages/affine": affine.replace(from, to) });
  };
  assert.is(changed("lo: f32,", "hi: f32,").length, 1);
  assert.is(changed("q.x, q.y, q.z", "q.y, q.x, q.z").length, 1);
  assert.is(changed("GATE_RELU = 1u", "GATE_RELU = 2u").length, 1);
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
