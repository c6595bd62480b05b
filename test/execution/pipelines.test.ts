/** Each source is compiled once, and what does not compile is shown. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { SluiceError } from "../../src/errors.ts";
import { PipelineCache } from "../../src/execution/pipelines.ts";
import { type Gpu, openGpu } from "../../src/gpu/open.ts";
import type { Kernel } from "../../src/kernels/kernel.ts";
import { refusal } from "../formats/refusal.ts";
import { testDevice } from "../support/device.ts";

/** A kernel of one module, given as text. */
function kernelOf(name: string, body: string, more = ""): Kernel {
  const text = `${more}@group(1) @binding(1) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(1)
fn main() {
${body}
}`;
  return {
    name,
    shader: { entry: "written", modules: { written: text } },
    summation: "none",
    workgroups: () => [1, 1, 1],
    cost: () => ({ flops: 0, bytes: 0 }),
  };
}

/** One for all tests: each listens to the device's errors. */
let gpu: Promise<Gpu> | undefined;

async function makeCache(): Promise<PipelineCache> {
  gpu ??= testDevice().then((device) => openGpu({ device }));
  return new PipelineCache(await gpu);
}

test.after(async () => (await gpu)?.destroy());

test("equal sources give one pipeline, also while it compiles", async () => {
  const cache = await makeCache();
  const [a, b] = await Promise.all([
    cache.get(kernelOf("a", "  x[0] = 1u;")),
    cache.get(kernelOf("b", "  x[0] = 1u;")),
  ]);
  assert.is(a, b);
  assert.is(await cache.get(kernelOf("a", "  x[0] = 1u;")), a);
  assert.is(cache.created, 1);
  assert.is.not(await cache.get(kernelOf("c", "  x[0] = 2u;")), a);
  assert.is(cache.created, 2);
  assert.equal(
    cache.compiled.map(({ name }) => name),
    ["a", "c"],
  );
  for (const { name, linkMs, compileMs } of cache.compiled) assert.ok(linkMs >= 0 && compileMs >= 0, name);
});

test("kernels with equal bindings share a layout", async () => {
  const cache = await makeCache();
  const { layout, bindings, args } = await cache.get(kernelOf("a", "  x[0] = 20u;"));
  assert.equal(bindings, [{ name: "x", binding: 1, access: "read_write" }]);
  assert.equal(args, []);
  assert.is((await cache.get(kernelOf("b", "  x[0] = 3u;"))).layout, layout);
  const more = "struct Args { n: u32, list: array<vec4u, 2> }\n@group(1) @binding(0) var<uniform> args: Args;\n";
  const other = await cache.get(kernelOf("c", "  x[0] = args.n + args.list[1].x;", more));
  assert.is.not(other.layout, layout);
  assert.equal(other.args, [
    { name: "n", type: "u32" },
    { name: "list", type: "u32", vec4s: 2 },
  ]);
});

test("an error shows kernel, line, column and the line itself", async () => {
  const cache = await makeCache();
  const broken = kernelOf("broken_768", "  let y = 1u;\n  x[0] = y + 1i;");
  const message = await refusal("gpu", () => cache.get(broken), "Kernel broken_768", "report");
  // Compilers differ in what they say, and whether the fault lies in the sum or in its assignment.
  assert.match(message, /\n\d+:(?:3|10): .+\n {4}x\[0\] = y \+ 1i;\n {4}(?: {7})?\^\n/);
  assert.is(cache.created, 0);
});

test("a shader whose bindings or args cannot be read is an error too", async () => {
  const cache = await makeCache();
  const refused = (more: string, what: string) =>
    refusal("gpu", () => cache.get(kernelOf("mismatch", "  x[0] = 4u;", more)), "Kernel mismatch: ", what);
  await refused("@group(1) @binding(1) var<storage> y: array<u32>;\n", "two variables have binding 1");
  await refused("@binding(3) @group(1) var<storage> y: array<u32>;\n", "declared in another way");
  await refused("struct Args { n: i32 }\n@group(1) @binding(0) var<uniform> args: Args;\n", "args.n is of type i32");
});

test("after a failure nothing lingers", async () => {
  const gpu = await openGpu({ device: await testDevice() });
  const cache = new PipelineCache(gpu);
  await refusal("gpu", () => cache.get(kernelOf("broken", "  x[0] = 1.5f;")));
  await gpu.idle();
  await cache.get(kernelOf("sound", "  x[0] = 5u;"));
  gpu.destroy();
});

test("preparing reports progress over new pipelines only", async () => {
  const cache = await makeCache();
  const kernels = [6, 7, 8, 7].map((n) => kernelOf(`k${n}`, `  x[0] = ${n}u;`));
  await cache.get(kernels[0] as Kernel);
  const heard: string[] = [];
  await cache.prepare(kernels, (done, total) => heard.push(`${done}/${total}`));
  assert.equal(heard, ["1/2", "2/2"]);
  await cache.prepare(kernels, () => heard.push("again"));
  assert.is(heard.length, 2);
  assert.is(cache.created, 3);
});

test("an abort stops compilations that have not begun", async () => {
  const cache = await makeCache();
  const kernels = Array.from({ length: 40 }, (_, n) => kernelOf(`n${n}`, `  x[0] = ${100 + n}u;`));
  const abort = new AbortController();
  await refusal("aborted", () => cache.prepare(kernels, () => abort.abort(), abort.signal));
  assert.ok(cache.created < 40, `${cache.created} were compiled`);
  const heard: number[] = [];
  await cache.prepare(kernels, (done) => heard.push(done));
  assert.is(cache.created, 40);
});

test("a lost device compiles nothing", async () => {
  const gpu = await openGpu();
  const cache = new PipelineCache(gpu);
  const under = cache.get(kernelOf("late", "  x[0] = 9u;"));
  gpu.device.destroy();
  // Firefox hands out a pipeline before it tells of the loss.
  const early = await under.then(
    () => "a pipeline",
    ({ code }: SluiceError) => code,
  );
  assert.ok(early === "a pipeline" || early === "device_lost", early);
  await gpu.lost;
  await refusal("device_lost", () => cache.get(kernelOf("later", "  x[0] = 10u;")));
  gpu.destroy();
});

test.run();
