/** Runs microkernels on its own buffers, timed by the host's clock. */
import { SluiceError } from "../errors.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { packArgs } from "../kernels/step.ts";
import { CACHED_BYTES, type Microkernel, MOST_THREADS } from "./microkernels.ts";
import { bestDispatch, lengthsFor, READ_BYTES, type Sizes, withLittleData } from "./sizing.ts";

/** Empty submits that are timed. */
const EMPTIES = 8;

export class MicroBench {
  readonly #gpu: Gpu;
  readonly #pipelines: PipelineCache;
  readonly #owned: GPUBuffer[] = [];
  /** The data that the read kernels read in turn. */
  #data: readonly GPUBuffer[];
  readonly #cached: GPUBuffer;
  readonly #sums: GPUBuffer;
  readonly #args: GPUBuffer;
  readonly #step: GPUBuffer;
  #emptyMs = Infinity;

  constructor(gpu: Gpu, pipelines: PipelineCache) {
    this.#gpu = gpu;
    this.#pipelines = pipelines;
    const { STORAGE, UNIFORM, COPY_DST } = GPUBufferUsage;
    const first = this.#ownData(READ_BYTES);
    this.#data = [first];
    this.#cached = this.#own("ceilings cached", CACHED_BYTES, STORAGE | COPY_DST);
    this.#sums = this.#own("ceilings sums", MOST_THREADS * 4, STORAGE | COPY_DST);
    this.#args = this.#own("ceilings args", 16, UNIFORM | COPY_DST);
    this.#step = this.#own("ceilings step", 256, UNIFORM | COPY_DST);
    // Memory pages that were never written may all be one page of zeros, which a cache would hold.
    const block = new Float32Array(1 << 20).map((_, i) => (i % 1009) / 1009);
    for (let offset = 0; offset < READ_BYTES; offset += block.byteLength) {
      gpu.device.queue.writeBuffer(first, offset, block, 0, Math.min(block.length, (READ_BYTES - offset) / 4));
    }
    gpu.device.queue.writeBuffer(this.#cached, 0, block, 0, CACHED_BYTES / 4);
  }

  /**
   * Makes the data that kernels of these sizes read. If there is no memory for it, the present small data stays,
   * and caches may serve a part of it.
   * @returns bytes of the data now
   */
  async hold(sizes: Sizes): Promise<Sizes> {
    const { bytes, buffers } = sizes;
    if (bytes === READ_BYTES && buffers === 1) return sizes;
    // Allocation failures of others are not handled here.
    await this.#gpu.checkAllocations();
    const [first] = this.#data as [GPUBuffer];
    const made: GPUBuffer[] = [];
    try {
      for (let i = 0; i < buffers; i++) made.push(this.#ownData(bytes));
      await this.#gpu.checkAllocations();
    } catch (error) {
      for (const buffer of made) this.#release(buffer);
      if (!(error instanceof SluiceError && error.code === "device_limit")) throw error;
      return withLittleData(sizes);
    }
    const encoder = this.#gpu.device.createCommandEncoder();
    for (const buffer of made) {
      for (let at = 0; at < bytes; at += READ_BYTES) encoder.copyBufferToBuffer(first, 0, buffer, at, READ_BYTES);
    }
    this.#gpu.device.queue.submit([encoder.finish()]);
    this.#data = made;
    this.#release(first);
    return sizes;
  }

  /** 10⁹ bytes or operations a second, the best of `runs`. @param part of the work of a timed run */
  async rate(candidate: Microkernel, runs: number, part = 1): Promise<number> {
    return candidate.amount === 0 ? 0 : candidate.amount / (await this.time(candidate, runs, part)) / 1e6;
  }

  /** Milliseconds of one dispatch, the best of `runs`. @param part of the work of a timed run */
  async time(candidate: Microkernel, runs: number, part = 1): Promise<number> {
    const { device } = this.#gpu;
    const { kernel, threads, args } = candidate;
    const pipeline = await this.#pipelines.get(kernel);
    const layout = this.#pipelines.layoutOf(kernel);
    const groups = this.#dataOf(candidate).map((data) => {
      const bufferOf = (name: string) => (name === "args" ? this.#args : name === "sums" ? this.#sums : data);
      const entries = kernel.bindings.map(({ name, binding }) => ({ binding, resource: { buffer: bufferOf(name) } }));
      return device.createBindGroup({ layout, entries });
    });
    const step = device.createBindGroup({
      layout: this.#pipelines.stepLayout,
      entries: [{ binding: 0, resource: { buffer: this.#step, size: 16 } }],
    });
    device.queue.writeBuffer(this.#args, 0, packArgs(kernel, args) as Uint32Array<ArrayBuffer>);
    await this.#gpu.idle();
    if (this.#emptyMs === Infinity) await this.#timeEmpty();
    const run = async (repeats: number): Promise<number> => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, step, [0]);
      for (let i = 0; i < repeats; i++) {
        pass.setBindGroup(1, groups[i % groups.length] as GPUBindGroup);
        pass.dispatchWorkgroups(...kernel.workgroups(threads));
      }
      pass.end();
      return (await this.#timeSubmit(encoder)) - this.#emptyMs;
    };
    return bestDispatch(run, runs, lengthsFor(part, this.#emptyMs));
  }

  dispose(): void {
    for (const buffer of [...this.#owned]) this.#release(buffer);
  }

  /** The time to the device and back, part of every run: the shortest of nearly empty submits. */
  async #timeEmpty(): Promise<void> {
    for (let i = 0; i < EMPTIES; i++) {
      const encoder = this.#gpu.device.createCommandEncoder();
      encoder.clearBuffer(this.#step, 0, 16);
      this.#emptyMs = Math.min(this.#emptyMs, await this.#timeSubmit(encoder));
    }
  }

  async #timeSubmit(encoder: GPUCommandEncoder): Promise<number> {
    const commands = encoder.finish();
    const started = performance.now();
    this.#gpu.device.queue.submit([commands]);
    await this.#gpu.idle();
    return performance.now() - started;
  }

  #dataOf({ ceiling }: Microkernel): readonly GPUBuffer[] {
    return ceiling === "read" ? this.#data : [this.#cached];
  }

  #ownData(bytes: number): GPUBuffer {
    const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;
    return this.#own("ceilings data", bytes, STORAGE | COPY_DST | COPY_SRC);
  }

  #own(label: string, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const buffer = this.#gpu.createBuffer(label, bytes, usage);
    this.#owned.push(buffer);
    return buffer;
  }

  #release(buffer: GPUBuffer): void {
    this.#owned.splice(this.#owned.indexOf(buffer), 1);
    this.#gpu.release(buffer);
  }
}
