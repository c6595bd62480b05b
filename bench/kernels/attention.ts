/**
 * Times the attention kernels on the software adapter: compile, decode at contexts 64 … 1024 and prefill of
 * 64 and 256 rows, GPT-2 small's heads. Findings: attention.md beside this file.
 *
 *     node --import tsx bench/kernels/attention.ts [part of a kernel's name]
 */
import { attentionDecode } from "../../src/kernels/attention/decode.ts";
import { attentionRegister } from "../../src/kernels/attention/register.ts";
import { attentionTiled } from "../../src/kernels/attention/tiled.ts";
import { interfaceOf } from "../../src/kernels/interface.ts";
import type { Kernel } from "../../src/kernels/kernel.ts";
import { linkShader } from "../../src/kernels/link.ts";
import { packArgs, packStep } from "../../src/kernels/step.ts";
import { type Chunk, type Problem, problem } from "../../test/support/attention-problem.ts";
import { testDevice } from "../../test/support/device.ts";

const HEADS = { heads: 12, kv_heads: 12, head_dim: 64 };
const MAX_ROWS = 256;
const wanted = process.argv[2] ?? "";

const decode = [64, 256, 1024].map((context): Chunk => ({ sequence: 0, first: context - 1, count: 1 }));
const prefill = [64, 256].map((count): Chunk => ({ sequence: 0, first: 0, count }));

function bufferOf(device: GPUDevice, data: Float32Array | Uint32Array, usage: number): GPUBuffer {
  const buffer = device.createBuffer({ size: data.byteLength, usage: usage | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(buffer, 0, data as GPUAllowSharedBufferSource);
  return buffer;
}

/** Milliseconds of each of `times` submits of one dispatch, waited for. */
async function time(
  device: GPUDevice,
  kernel: Kernel,
  pipeline: GPUComputePipeline,
  given: Problem,
  times: number,
): Promise<number[]> {
  const step = bufferOf(device, packStep(given.step, MAX_ROWS), GPUBufferUsage.UNIFORM);
  const { bindings, args } = await interfaceOf(kernel);
  const packed = packArgs({ name: kernel.name, args }, given.args);
  const bound = bindings.map(({ name, binding, access }) => {
    if (access === "args") return { binding, resource: { buffer: bufferOf(device, packed, GPUBufferUsage.UNIFORM) } };
    const data = given.buffers[name];
    if (!data) throw new Error(`${kernel.name} needs a buffer for ${name}`);
    return { binding, resource: { buffer: bufferOf(device, data, GPUBufferUsage.STORAGE) } };
  });
  const entries = [{ binding: 0, resource: { buffer: step } }];
  const groups = [entries, bound].map((group, i) =>
    device.createBindGroup({ layout: pipeline.getBindGroupLayout(i), entries: group }),
  );
  const taken: number[] = [];
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    groups.forEach((group, at) => pass.setBindGroup(at, group));
    pass.dispatchWorkgroups(...kernel.workgroups(given.step.rows.length));
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    taken.push(performance.now() - start);
  }
  for (const { resource } of [...entries, ...bound]) resource.buffer.destroy();
  return taken;
}

async function main(): Promise<void> {
  const device = await testDevice();
  const shape = { ...HEADS, taps: [], maxRows: MAX_ROWS };
  const kernels: readonly (readonly [Kernel, readonly Chunk[]])[] = [
    [attentionRegister(shape, 1), [...decode, ...prefill]],
    [attentionRegister(shape, 4), prefill],
    [attentionDecode(shape), decode],
    [attentionTiled(shape), [...decode, ...prefill]],
  ];
  for (const [kernel, chunks] of kernels.filter(([{ name }]) => name.includes(wanted))) {
    const code = await linkShader(kernel.shader);
    const start = performance.now();
    const pipeline = await device.createComputePipelineAsync({
      layout: "auto",
      compute: { module: device.createShaderModule({ code }) },
    });
    console.log(`${kernel.name}: compile ${(performance.now() - start).toFixed(0)} ms`);
    for (const chunk of chunks) {
      const given = problem({ ...HEADS, chunks: [chunk], maxRows: MAX_ROWS });
      const taken = (await time(device, kernel, pipeline, given, 7)).slice(1).sort((a, b) => a - b);
      const [best = NaN] = taken;
      const keys = given.step.rows.reduce((sum, { position }) => sum + position + 1, 0);
      const { flops } = kernel.cost({ rows: chunk.count, keys });
      const median = taken[taken.length >> 1] ?? NaN;
      const label = chunk.count === 1 ? `decode, context ${chunk.first + 1}` : `prefill of ${chunk.count}`;
      console.log(
        `  ${label}: best ${best.toFixed(2)} ms, median ${median.toFixed(2)} ms, ${(flops / best / 1e6).toFixed(2)} GFLOP/s`,
      );
    }
  }
  process.exit(0);
}

await main();
