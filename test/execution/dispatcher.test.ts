/** Kernels on buffers and args, and runs of them in short submits. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Dispatcher } from "../../src/execution/dispatcher.ts";
import type { Pace } from "../../src/execution/pacer.ts";
import { PipelineCache } from "../../src/execution/pipelines.ts";
import { type Gpu, openGpu } from "../../src/gpu/open.ts";
import type { Kernel } from "../../src/kernels/kernel.ts";
import { refusal } from "../formats/refusal.ts";
import { testDevice } from "../support/device.ts";

/** x ← factor · x + add */
const text = `struct Args { factor: u32, add: u32 }
@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(1) fn main() { x[0] = args.factor * x[0] + args.add; }`;

const kernel: Kernel = {
  name: "affine",
  shader: { entry: "written", modules: { written: text } },
  summation: "none",
  workgroups: () => [1, 1, 1],
  cost: () => ({ flops: 1, bytes: 4 }),
};

/** Every dispatch takes 1 ms, and a submit holds two. */
const pace: Pace = { budgetMs: 2, estimate: () => 1, observe: () => undefined };

/** They listen to the device's errors until they are destroyed. */
const opened: Gpu[] = [];
test.after.each(() => {
  for (const gpu of opened.splice(0)) gpu.destroy();
});

async function make(): Promise<{ gpu: Gpu; dispatcher: Dispatcher; x: GPUBuffer }> {
  const gpu = await openGpu({ device: await testDevice() });
  opened.push(gpu);
  const dispatcher = new Dispatcher({ gpu, pipelines: new PipelineCache(gpu), label: "test", maxRows: 1 });
  dispatcher.makeSteps(1).write([{ rows: [], outs: [] }]);
  return { gpu, dispatcher, x: dispatcher.owned.make("x", 4, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC) };
}

async function launches(dispatcher: Dispatcher, x: GPUBuffer, all: readonly (readonly [number, number])[]) {
  const made = [];
  for (const [factor, add] of all) {
    const [bound] = await dispatcher.bind(kernel, {
      label: "test",
      args: { factor, add },
      bufferOf: () => ({ buffer: x }),
    });
    if (bound)
      made.push({ ...bound, step: 0, workgroups: [1, 1, 1] as const, cost: kernel.cost({ rows: 1, keys: 0 }) });
  }
  return made;
}

test("launches run in order over as many submits as their lengths ask for, and reads come behind them", async () => {
  const { dispatcher, x } = await make();
  const list = await launches(dispatcher, x, [
    [0, 1],
    [2, 1],
    [3, 5],
    [2, 0],
    [1, 100],
  ]);
  const counts: number[] = [];
  const reads = [{ buffer: x, byteLength: 4 }];
  const run = await dispatcher.run(list, pace, { reads, onSubmit: (launched) => counts.push(launched) });
  const [bytes] = await run.bytes();
  assert.is(new Uint32Array(bytes as ArrayBuffer)[0], ((1 * 2 + 1) * 3 + 5) * 2 + 100);
  assert.equal(counts, [2, 4]);
  const cleared = await dispatcher.run(list.slice(1, 2), pace, { reads, clear: [x] });
  assert.is(new Uint32Array((await cleared.bytes())[0] as ArrayBuffer)[0], 1);
  dispatcher.dispose();
});

test("an abort ends a run between two submits", async () => {
  const { dispatcher, x } = await make();
  const list = await launches(dispatcher, x, [
    [0, 1],
    [1, 1],
    [1, 1],
    [1, 1],
    [1, 1],
  ]);
  const abort = new AbortController();
  const onSubmit = (launched: number) => {
    if (launched === 4) abort.abort();
  };
  await refusal("aborted", () => dispatcher.run(list, pace, { reads: [], signal: abort.signal, onSubmit }));
  const after = await dispatcher.run([], pace, { reads: [{ buffer: x, byteLength: 4 }] });
  assert.is(new Uint32Array((await after.bytes())[0] as ArrayBuffer)[0], 4);
  dispatcher.dispose();
});

test("an observer sees every launch before it is encoded; alone, each is a submit", async () => {
  const { dispatcher, x } = await make();
  const list = await launches(dispatcher, x, [
    [0, 1],
    [1, 2],
    [1, 3],
  ]);
  for (const alone of [false, true]) {
    const seen: unknown[] = [];
    const submits: number[] = [];
    await dispatcher.run(list, pace, {
      reads: [],
      onSubmit: (launched) => submits.push(launched),
      observer: { alone, begin: (launch) => ({ label: `${seen.push(launch)}` }), finish: () => seen.push("end") },
    });
    assert.equal(seen, [...list, "end"]);
    assert.equal(submits, alone ? [1, 2] : [2]);
  }
  dispatcher.dispose();
});

test("a value without a field, a field without a value and a binding without a buffer are refused", async () => {
  const { dispatcher, x } = await make();
  const bind = (args: Record<string, number>, buffer: GPUBuffer | undefined = x) =>
    dispatcher.bind(kernel, {
      label: "blocks.0",
      args,
      bufferOf: (name) => (name === "x" && buffer ? { buffer } : undefined),
    });
  await refusal("gpu", () => bind({ factor: 1 }), "Kernel affine", "args.add");
  await refusal("gpu", () => bind({ factor: 1, add: 1, plus: 1 }), "Kernel affine", "args.plus");
  const unbound = dispatcher.bind(kernel, {
    label: "blocks.0",
    args: { factor: 1, add: 1 },
    bufferOf: () => undefined,
  });
  await unbound.then(
    () => assert.unreachable("bound without a buffer"),
    (error: Error) => assert.match(error.message, /blocks\.0: nothing is connected to x of affine/),
  );
  dispatcher.dispose();
});

test.run();
