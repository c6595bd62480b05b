/**
 * Times the linear kernels on the test device for the matrices of GPT-2 124M, one dispatch a submit.
 *
 *   npx tsx bench/kernels/linear.ts [f32,f16,bf16,q8,q4] [NAME…]
 *
 * Several dtypes between commas are timed side by side, in turns. NAME keeps the kernels whose label contains it, without
 * the dtype. Prints the best of seven runs as elapsed and as processor time of this
 * process (a software device runs in it: on a busy machine processor time is the steadier one), GFLOP/s, and GB/s of the
 * least bytes that must move, both by elapsed time. Results and conclusions: bench/kernels/linear.md.
 */
import { interfaceOf } from "../../src/kernels/interface.ts";
import { inOrder, type Kernel } from "../../src/kernels/kernel.ts";
import {
  type LinearShape,
  lanesLinear,
  registerLinear,
  splitLinear,
  tileLinear,
} from "../../src/kernels/linear/linear.ts";
import { linkShader } from "../../src/kernels/link.ts";
import { packArgs, packStep } from "../../src/kernels/step.ts";
import { weightBytes, weightDtypes } from "../../src/kernels/weight-dtype.ts";
import { testDevice } from "../../test/support/device.ts";
import { plainStep } from "../../test/support/run-kernel.ts";

const RUNS = 7;
const MAX_ROWS = 256;

const [dtypeText = "f32", ...wanted] = process.argv.slice(2);
const dtypes = dtypeText.split(",").map((dtype) => {
  const known = weightDtypes.find((each) => each === dtype);
  if (!known) throw new Error(`unknown dtype ${dtype}: ${weightDtypes.join(", ")}`);
  return known;
});
const device = await testDevice();

const shape = (K: number, N: number): LinearShape => ({
  K,
  N,
  strips: Math.ceil(N / 4),
  dtype: "f32",
  epilogue: { kind: "store" },
  bias: false,
  taps: [],
  maxRows: MAX_ROWS,
});

type Make = (shape: LinearShape) => Kernel;
const register =
  (...[rows, strips]: [1 | 2 | 4 | 8, (1 | 2)?]): Make =>
  (s) =>
    registerLinear(s, rows, strips);

const cases: readonly { rows: number; shape: LinearShape; makes: readonly Make[] }[] = [
  ...[shape(768, 3072), shape(3072, 768), shape(768, 24_000)].map((s) => ({
    rows: 1,
    shape: s,
    makes: [register(1), register(1, 2), (s: LinearShape) => lanesLinear(s, 1)],
  })),
  ...[2, 3, 4].map((rows) => ({
    rows,
    shape: shape(768, 3072),
    makes: [register(1), register(2), register(2, 2), register(4, 1), register(4, 2)],
  })),
  ...[
    { rows: 64, s: shape(768, 768) },
    { rows: 256, s: shape(768, 3072) },
  ].map(({ rows, s }) => ({
    rows,
    shape: s,
    makes: [register(4, 1), register(4, 2), register(8, 1), register(8, 2), (s: LinearShape) => tileLinear(s)],
  })),
  ...[32, 64].map((rows) => ({
    rows,
    shape: shape(3072, 768),
    makes: [
      (s: LinearShape) => tileLinear(s, 32),
      (s: LinearShape) => tileLinear(s, 64),
      ...([2, 4, 8] as const).map((parts) => (s: LinearShape) => splitLinear(s, parts)),
    ],
  })),
];

for (const { rows, shape: s, makes } of cases) {
  for (const make of makes) {
    const prepared: (Prepared & { readonly kernel: Kernel; readonly label: string })[] = [];
    for (const dtype of dtypes) {
      const kernel = make({ ...s, dtype });
      const label = `${rows}x${s.K}x${s.N} ${kernel.name}`;
      if (wanted.length > 0 && !wanted.some((part) => label.replace(`_${dtype}`, "").includes(part))) continue;
      prepared.push({ kernel, label, ...(await prepare(kernel, { ...s, dtype }, rows)) });
    }
    const best = prepared.map(() => ({ elapsed: Infinity, processor: Infinity }));
    for (let round = 0; round < RUNS; round++) {
      for (const [i, { run }] of prepared.entries()) {
        const { elapsed, processor } = await run();
        const record = best[i] as (typeof best)[number];
        record.elapsed = Math.min(record.elapsed, elapsed);
        record.processor = Math.min(record.processor, processor);
      }
    }
    for (const [i, { kernel, label, compile, dispose }] of prepared.entries()) {
      const { elapsed, processor } = best[i] as (typeof best)[number];
      const costs = inOrder(kernel).map((each) => each.cost({ rows, keys: 0 }));
      const flops = costs.reduce((sum, cost) => sum + cost.flops, 0);
      const bytes = costs.reduce((sum, cost) => sum + cost.bytes, 0);
      console.log(
        `${label.padEnd(58)} compile ${compile.toFixed(0).padStart(5)} ms  elapsed ${elapsed.toFixed(2).padStart(8)} ms  ` +
          `processor ${processor.toFixed(2).padStart(8)} ms  ${(flops / elapsed / 1e6).toFixed(2)} GFLOP/s  ${(bytes / elapsed / 1e6).toFixed(2)} GB/s`,
      );
      dispose();
    }
  }
}
device.destroy();

/** A kernel that is ready to run. */
interface Prepared {
  /** In ms. */
  readonly compile: number;
  /** Runs it once; times in ms. */
  run(): Promise<{ elapsed: number; processor: number }>;
  dispose(): void;
}

/** Compiles a `store` kernel, with its merge if it has one, and fills its buffers. */
async function prepare(kernel: Kernel, s: LinearShape, rows: number): Promise<Prepared> {
  device.pushErrorScope("validation");
  const stepLayout = device.createBindGroupLayout({
    entries: [{ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } }],
  });
  const kernels = inOrder(kernel);
  const interfaces = await Promise.all(kernels.map(interfaceOf));
  const layouts = interfaces.map(({ bindings }) =>
    device.createBindGroupLayout({
      entries: bindings.map(({ binding, access }) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: access === "args" ? "uniform" : access === "read" ? "read-only-storage" : "storage" },
      })),
    }),
  );
  const codes = await Promise.all(kernels.map(({ shader }) => linkShader(shader)));
  const begun = performance.now();
  const pipelines = await Promise.all(
    codes.map((code, i) =>
      device.createComputePipelineAsync({
        layout: device.createPipelineLayout({ bindGroupLayouts: [stepLayout, layouts[i] as GPUBindGroupLayout] }),
        compute: { module: device.createShaderModule({ code }) },
      }),
    ),
  );
  const compile = performance.now() - begun;

  const padded = Math.ceil(s.K / 4) * 4;
  const buffers: GPUBuffer[] = [];
  const make = (words: Uint32Array | number, usage: number): GPUBuffer => {
    const size = typeof words === "number" ? words : words.byteLength;
    const buffer = device.createBuffer({ size, usage: usage | GPUBufferUsage.COPY_DST });
    if (typeof words !== "number") device.queue.writeBuffer(buffer, 0, words.buffer as ArrayBuffer);
    buffers.push(buffer);
    return buffer;
  };
  // Weights and inputs of about ±1: zeros may be quicker or slower than numbers.
  const noise = Uint32Array.from({ length: 1 << 18 }, (_, i) => (0x3c003c00 ^ Math.imul(i, 0x9e3779b1)) & 0xbfffbfff);
  const weights = make(s.strips * 4 * padded * weightBytes(s.dtype), GPUBufferUsage.STORAGE);
  const input = make(rows * padded * 4, GPUBufferUsage.STORAGE);
  for (const buffer of [weights, input]) {
    for (let at = 0; at < buffer.size; at += noise.byteLength) {
      device.queue.writeBuffer(buffer, at, noise, 0, Math.min(noise.byteLength, buffer.size - at) / 4);
    }
  }
  const roles: Record<string, GPUBuffer> = {
    weights,
    input,
    output: make(rows * s.strips * 16, GPUBufferUsage.STORAGE),
    partials: make(kernel.split?.bytes(rows) ?? 16, GPUBufferUsage.STORAGE),
  };
  const step = make(packStep(plainStep(rows), MAX_ROWS), GPUBufferUsage.UNIFORM);
  const group0 = device.createBindGroup({ layout: stepLayout, entries: [{ binding: 0, resource: { buffer: step } }] });
  const groups = interfaces.map((each, i) => {
    const args = make(packArgs({ name: kernel.name, args: each.args }, { first_strip: 0 }), GPUBufferUsage.UNIFORM);
    return device.createBindGroup({
      layout: layouts[i] as GPUBindGroupLayout,
      entries: each.bindings.map(({ name, binding }) => {
        const buffer = name === "args" ? args : roles[name];
        if (!buffer) throw new Error(`no buffer for ${name}`);
        return { binding, resource: { buffer } };
      }),
    });
  });
  const error = await device.popErrorScope();
  if (error) throw new Error(`${kernel.name}: ${error.message}`);
  return {
    compile,
    async run() {
      const start = performance.now();
      const spent = process.cpuUsage();
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setBindGroup(0, group0, [0]);
      for (const [i, each] of kernels.entries()) {
        pass.setPipeline(pipelines[i] as GPUComputePipeline);
        pass.setBindGroup(1, groups[i] as GPUBindGroup);
        pass.dispatchWorkgroups(...each.workgroups(rows));
      }
      pass.end();
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
      const { user, system } = process.cpuUsage(spent);
      return { elapsed: performance.now() - start, processor: (user + system) / 1000 };
    },
    dispose() {
      for (const buffer of buffers) buffer.destroy();
    },
  };
}
