/** Runs one kernel alone on a device, as the engine runs it, and reads buffers back. */
import { Dispatcher } from "../../src/execution/dispatcher.ts";
import { Pacer } from "../../src/execution/pacer.ts";
import { PipelineCache } from "../../src/execution/pipelines.ts";
import type { Gpu } from "../../src/gpu/gpu.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { type ArgValues, inOrder, type Kernel } from "../../src/kernels/kernel.ts";
import type { StepRows } from "../../src/kernels/step.ts";

export interface KernelRun {
  readonly step: StepRows;
  /** MAX_ROWS that the kernel was made with. */
  readonly maxRows: number;
  /** Values that the kernel has no field for are left out: variants of a kernel share theirs. */
  readonly args: ArgValues;
  /** Initial contents by binding name; every storage binding of the kernel needs one. */
  readonly buffers: Readonly<Record<string, Float32Array | Uint32Array>>;
  /** Rows given to `kernel.workgroups`; default: the step's row count. */
  readonly rows?: number;
}

/** What the kernels of a device share. */
const opened = new WeakMap<GPUDevice, Promise<{ readonly gpu: Gpu; readonly pipelines: PipelineCache }>>();

function open(device: GPUDevice): Promise<{ readonly gpu: Gpu; readonly pipelines: PipelineCache }> {
  const known = opened.get(device);
  if (known) return known;
  const parts = openGpu({ device }).then((gpu) => ({ gpu, pipelines: new PipelineCache(gpu) }));
  opened.set(device, parts);
  return parts;
}

/**
 * Runs the kernel, and its merge if it has one; returns the contents of every read_write buffer afterwards, as bytes.
 * @throws SluiceError for an arg that is missing, for what does not compile and what the device refuses
 */
export async function runKernel(device: GPUDevice, kernel: Kernel, run: KernelRun): Promise<Map<string, ArrayBuffer>> {
  const { step, maxRows, args, rows = step.rows.length } = run;
  const { gpu, pipelines } = await open(device);
  const dispatcher = new Dispatcher({ gpu, pipelines, label: kernel.name, maxRows });
  try {
    dispatcher.makeSteps(1).write([step]);
    const filled = new Map<string, GPUBuffer>();
    const bufferOf = (name: string): GPUBufferBinding | undefined => {
      const contents = run.buffers[name];
      if (!contents) return undefined;
      const known = filled.get(name);
      if (known) return { buffer: known };
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
      const buffer = dispatcher.owned.make(name, contents.byteLength, usage);
      device.queue.writeBuffer(buffer, 0, contents.buffer as ArrayBuffer, contents.byteOffset, contents.byteLength);
      filled.set(name, buffer);
      return { buffer };
    };
    const interfaces = await Promise.all(inOrder(kernel).map((each) => pipelines.get(each)));
    const fields = new Set(interfaces.flatMap((each) => each.args).map(({ name }) => name));
    const own = Object.fromEntries(Object.entries(args).filter(([name]) => fields.has(name)));
    const bound = await dispatcher.bind(kernel, { label: kernel.name, args: own, bufferOf });
    const bindings = interfaces.flatMap((each) => each.bindings);
    const written = new Set(bindings.filter(({ access }) => access === "read_write").map(({ name }) => name));
    const reads = [...written].map((name) => {
      const buffer = filled.get(name) as GPUBuffer;
      return { buffer, byteLength: buffer.size };
    });
    const launches = bound.map(({ kernel: each, ...launch }) => {
      return { ...launch, step: 0, workgroups: each.workgroups(rows), cost: each.cost({ rows, keys: 0 }) };
    });
    const bytes = await (await dispatcher.run(launches, new Pacer("register"), { reads })).bytes();
    return new Map([...written].map((name, i) => [name, bytes[i] as ArrayBuffer]));
  } finally {
    dispatcher.dispose();
  }
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
