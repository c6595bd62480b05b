/** Runs one kernel alone on a device, the way the executor binds it, and reads buffers back. */
import { readInterface } from "../../src/kernels/interface.ts";
import type { ArgValues, Kernel } from "../../src/kernels/kernel.ts";
import { linkShader } from "../../src/kernels/link.ts";
import { packArgs, packStep, type StepRows } from "../../src/kernels/step.ts";

export interface KernelRun {
  readonly step: StepRows;
  /** MAX_ROWS that the kernel was made with. */
  readonly maxRows: number;
  readonly args: ArgValues;
  /** Initial contents by binding name; every storage binding of the kernel needs one. */
  readonly buffers: Readonly<Record<string, Float32Array | Uint32Array>>;
  /** Rows given to `kernel.workgroups`; default: the step's row count. */
  readonly rows?: number;
}

/** Runs the kernel once; returns the contents of every read_write buffer afterwards, as bytes. */
export async function runKernel(device: GPUDevice, kernel: Kernel, run: KernelRun): Promise<Map<string, ArrayBuffer>> {
  const code = await linkShader(kernel.shader);
  const { bindings, args } = readInterface(code, kernel.name);
  const module = device.createShaderModule({ code, label: kernel.name });
  const stepLayout = device.createBindGroupLayout({
    entries: [{ binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } }],
  });
  const ownLayout = device.createBindGroupLayout({
    entries: bindings.map(({ binding, access }) => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: access === "args" ? "uniform" : access === "read" ? "read-only-storage" : "storage" },
    })),
  });
  const layout = device.createPipelineLayout({ bindGroupLayouts: [stepLayout, ownLayout] });
  const pipeline = await device
    .createComputePipelineAsync({ label: kernel.name, layout, compute: { module } })
    .catch((cause: unknown) => {
      throw new Error(`${kernel.name}: ${String(cause)}\n${code}`);
    });
  device.pushErrorScope("validation");

  const owned: GPUBuffer[] = [];
  const filled = (bytes: ArrayBufferView, usage: number): GPUBuffer => {
    const buffer = device.createBuffer({
      size: Math.ceil(bytes.byteLength / 16) * 16,
      usage: usage | GPUBufferUsage.COPY_DST,
    });
    device.queue.writeBuffer(buffer, 0, bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
    owned.push(buffer);
    return buffer;
  };
  const stepBuffer = filled(packStep(run.step, run.maxRows), GPUBufferUsage.UNIFORM);
  const storage = new Map<string, GPUBuffer>();
  const entries = bindings.map(({ name, binding, access }) => {
    if (access === "args")
      return {
        binding,
        resource: { buffer: filled(packArgs({ name: kernel.name, args }, run.args), GPUBufferUsage.UNIFORM) },
      };
    const contents = run.buffers[name];
    if (!contents) throw new Error(`${kernel.name} needs a buffer for ${name}`);
    const buffer = filled(contents, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
    storage.set(name, buffer);
    return { binding, resource: { buffer } };
  });

  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({ layout: stepLayout, entries: [{ binding: 0, resource: { buffer: stepBuffer } }] }),
    [0],
  );
  pass.setBindGroup(1, device.createBindGroup({ layout: ownLayout, entries }));
  pass.dispatchWorkgroups(...kernel.workgroups(run.rows ?? run.step.rows.length));
  pass.end();
  const reads = bindings
    .filter(({ access }) => access === "read_write")
    .map(({ name }) => {
      const source = storage.get(name);
      if (!source) throw new Error(name);
      const target = device.createBuffer({
        size: source.size,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      owned.push(target);
      encoder.copyBufferToBuffer(source, 0, target, 0, source.size);
      return { name, target };
    });
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(`${kernel.name}: ${error.message}\n${code}`);
  const result = new Map<string, ArrayBuffer>();
  for (const { name, target } of reads) {
    await target.mapAsync(GPUMapMode.READ);
    result.set(name, target.getMappedRange().slice(0));
    target.unmap();
  }
  for (const buffer of owned) buffer.destroy();
  return result;
}

/** A step of `count` rows of one sequence at positions from `first`, slots equal to positions, every row an out row. */
export function plainStep(count: number, first = 0): StepRows {
  const rows = Array.from({ length: count }, (_, i) => ({
    token_index: i,
    position: first + i,
    slot: first + i,
    sequence: 0,
  }));
  const outs = rows.map((row, i) => ({
    row: i,
    token_index: row.token_index + 1,
    sequence: 0,
    position: row.position,
  }));
  return { rows, outs };
}
