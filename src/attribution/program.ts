/**
 * A fixed list of dispatches over buffers of its own: recorded once, compiled, then run as often as wanted with other
 * contents of its inputs. Unlike a session's plan it knows every row beforehand, so sizes and uniforms are settled.
 */
import { throwIfAborted } from "../errors.ts";
import { Backlog } from "../execution/backlog.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import { ReadbackPool } from "../execution/readback.ts";
import type { Gpu } from "../gpu/open.ts";
import type { ArgValues, Cost, Kernel, Workload } from "../kernels/kernel.ts";
import { packArgs, packStep, type StepRows, stepByteLength } from "../kernels/step.ts";

/** Estimates how long work takes, and learns from how long it took. */
export interface Pace {
  /** Estimated milliseconds after which a submit is closed: aborts act between submits, and long ones reset some GPUs. */
  readonly budgetMs: number;
  /** Milliseconds. */
  estimate(cost: Cost): number;
  observe(estimatedMs: number, measuredMs: number): void;
}

/** A buffer, or a part of it; offsets are multiples of 256 bytes. */
export interface Bound {
  readonly buffer: GPUBuffer;
  readonly offset?: number;
}

export interface Recorded {
  readonly kernel: Kernel;
  /** Index of the step that group 0 binds. */
  readonly step: number;
  /** What `kernel.workgroups` gets. */
  readonly rows: number;
  /** Keys in sight of the rows, for the estimate alone. */
  readonly keys?: number;
  readonly args?: ArgValues;
  readonly bind: Readonly<Record<string, Bound>>;
}

/** A part of the program: runs may begin at a later layer, and leave parts out. */
export interface Section {
  /** -1: before the first layer; the number of layers: behind the last. */
  readonly layer: number;
  readonly part: "loss" | "gradient" | "sums";
}

interface Ready {
  readonly section: Section;
  readonly pipeline: GPUComputePipeline;
  readonly bindings: GPUBindGroup;
  readonly stepOffset: number;
  readonly workgroups: readonly [number, number, number];
  readonly cost: Cost;
}

export interface ReadRange {
  readonly buffer: GPUBuffer;
  readonly byteLength: number;
}

export interface RunOptions {
  /** Parts that run, each from this layer of the forward pass on. */
  readonly parts: readonly Section["part"][];
  readonly from: number;
  readonly clear: readonly GPUBuffer[];
  readonly reads: readonly ReadRange[];
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class Program {
  readonly #gpu: Gpu;
  readonly #pipelines: PipelineCache;
  readonly #pace: Pace;
  readonly #maxRows: number;
  readonly #readbacks: ReadbackPool;
  readonly #owned: GPUBuffer[] = [];
  readonly #steps: StepRows[] = [];
  #section: Section = { layer: -1, part: "loss" };
  #recorded: { readonly section: Section; readonly dispatch: Recorded }[] = [];
  #ready: readonly Ready[] = [];
  #stepGroup: GPUBindGroup | undefined;

  constructor(gpu: Gpu, pipelines: PipelineCache, pace: Pace, maxRows: number) {
    this.#gpu = gpu;
    this.#pipelines = pipelines;
    this.#pace = pace;
    this.#maxRows = maxRows;
    this.#readbacks = new ReadbackPool(gpu);
  }

  /** A zero-filled buffer that ends with the program. @throws SluiceError `device_limit` */
  buffer(label: string, byteLength: number): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    return this.#own(label, byteLength, usage);
  }

  write(buffer: GPUBuffer, values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): void {
    this.#gpu.device.queue.writeBuffer(buffer, 0, values);
  }

  /** Adds a step that dispatches can refer to; returns its index. */
  step(rows: StepRows): number {
    this.#steps.push(rows);
    return this.#steps.length - 1;
  }

  /** What is recorded from here on belongs to this section. */
  begin(section: Section): void {
    this.#section = section;
  }

  record(dispatch: Recorded): void {
    this.#recorded.push({ section: this.#section, dispatch });
  }

  /**
   * Ends the recording: compiles, writes the uniforms, makes the bind groups.
   * @throws SluiceError `gpu`, `device_limit`, `device_lost`, `aborted`
   */
  async seal(onCompile: (done: number, total: number) => void, signal: AbortSignal | undefined): Promise<void> {
    const { device } = this.#gpu;
    const alignment = device.limits.minUniformBufferOffsetAlignment;
    const stepBytes = stepByteLength(this.#maxRows);
    const stepStride = roundUp(stepBytes, alignment);
    const stepWords = new Uint32Array((this.#steps.length * stepStride) / 4);
    this.#steps.forEach((step, i) => {
      packStep(step, this.#maxRows, stepWords.subarray((i * stepStride) / 4));
    });
    const steps = this.#uniforms("attribution steps", stepWords);
    this.#stepGroup = device.createBindGroup({
      layout: this.#pipelines.stepLayout,
      entries: [{ binding: 0, resource: { buffer: steps, size: stepBytes } }],
    });

    const blocks = this.#recorded.map(({ dispatch: { kernel, args = {} } }) => packArgs(kernel, args));
    const starts: number[] = [];
    let end = 0;
    for (const { byteLength } of blocks) {
      starts.push(end);
      end = roundUp(end + byteLength, alignment);
    }
    const argWords = new Uint32Array(end / 4);
    blocks.forEach((block, i) => {
      argWords.set(block, (starts[i] as number) / 4);
    });
    const args = this.#uniforms("attribution args", argWords);

    await this.#pipelines.prepare(
      this.#recorded.map(({ dispatch }) => dispatch.kernel),
      onCompile,
      signal,
    );
    const ready: Ready[] = [];
    for (const [i, { section, dispatch }] of this.#recorded.entries()) {
      const { kernel, step, rows, keys = 0, bind } = dispatch;
      const work: Workload = { rows, keys };
      const entries = kernel.bindings.map(({ name, binding, access }): GPUBindGroupEntry => {
        if (access === "args") {
          const size = (blocks[i] as Uint32Array).byteLength;
          return { binding, resource: { buffer: args, offset: starts[i] as number, size } };
        }
        const bound = bind[name];
        if (!bound) throw new Error(`Nothing is connected to ${name} of ${kernel.name}`);
        return { binding, resource: { buffer: bound.buffer, offset: bound.offset ?? 0 } };
      });
      ready.push({
        section,
        pipeline: await this.#pipelines.get(kernel),
        bindings: device.createBindGroup({ label: kernel.name, layout: this.#pipelines.layoutOf(kernel), entries }),
        stepOffset: step * stepStride,
        workgroups: kernel.workgroups(rows),
        cost: kernel.cost(work),
      });
    }
    this.#ready = ready;
    this.#recorded = [];
    await this.#gpu.checkAllocations();
  }

  /**
   * Runs the dispatches of some parts in order and reads buffers back.
   * @throws SluiceError `aborted` before the first submit or between two, `device_lost`, `gpu`
   */
  async run({ parts, from, clear, reads, onProgress, signal }: RunOptions): Promise<readonly ArrayBuffer[]> {
    throwIfAborted(signal);
    this.#gpu.checkAlive();
    const { device } = this.#gpu;
    let encoder = device.createCommandEncoder();
    for (const buffer of clear) encoder.clearBuffer(buffer);
    let pass = encoder.beginComputePass();
    let estimated = 0;
    const backlog = new Backlog(this.#gpu);
    const chosen = this.#ready.filter(
      ({ section }) => parts.includes(section.part) && (section.part === "gradient" || section.layer >= from),
    );
    for (const [i, { pipeline, bindings, stepOffset, workgroups, cost }] of chosen.entries()) {
      const expected = this.#pace.estimate(cost);
      if (estimated > 0 && estimated + expected > this.#pace.budgetMs) {
        pass.end();
        const submitted = estimated;
        await backlog.submit(encoder.finish(), (ms) => this.#pace.observe(submitted, ms));
        onProgress?.(i, chosen.length);
        throwIfAborted(signal);
        encoder = device.createCommandEncoder();
        pass = encoder.beginComputePass();
        estimated = 0;
      }
      estimated += expected;
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, this.#stepGroup as GPUBindGroup, [stepOffset]);
      pass.setBindGroup(1, bindings);
      pass.dispatchWorkgroups(...workgroups);
    }
    pass.end();
    const readbacks = reads.map(({ buffer, byteLength }) => this.#readbacks.copy(encoder, buffer, 0, byteLength));
    device.queue.submit([encoder.finish()]);
    const bytes = await Promise.all(readbacks.map((readback) => readback.bytes()));
    this.#gpu.checkAlive();
    return bytes;
  }

  /** Frees every buffer. */
  dispose(): void {
    this.#readbacks.dispose();
    for (const buffer of this.#owned) this.#gpu.release(buffer);
    this.#owned.length = 0;
    this.#ready = [];
  }

  #uniforms(label: string, words: Uint32Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.#own(label, words.byteLength, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    this.#gpu.device.queue.writeBuffer(buffer, 0, words);
    return buffer;
  }

  #own(label: string, byteLength: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const buffer = this.#gpu.createBuffer(label, Math.max(roundUp(byteLength, 16), 16), usage);
    this.#owned.push(buffer);
    return buffer;
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
