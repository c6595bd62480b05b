/** Runs microkernels on its own buffers, timed by the host's clock. */
import { SluiceError } from "../errors.ts";
import { BoundPass } from "../execution/bound-pass.ts";
import { type BoundKernel, Dispatcher } from "../execution/dispatcher.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { CACHED_BYTES, type Microkernel, MOST_THREADS } from "./microkernels.ts";
import { bestDispatch, lengthsFor, READ_BYTES, type Sizes, withLittleData } from "./sizing.ts";

/** Empty submits that are timed. */
const EMPTIES = 8;

export class MicroBench {
  readonly #gpu: Gpu;
  readonly #dispatcher: Dispatcher;
  /** The data that the read kernels read in turn. */
  #data: readonly GPUBuffer[];
  readonly #cached: GPUBuffer;
  readonly #sums: GPUBuffer;
  #emptyMs = Infinity;

  constructor(gpu: Gpu, pipelines: PipelineCache) {
    this.#gpu = gpu;
    this.#dispatcher = new Dispatcher({ gpu, pipelines, label: "ceilings", maxRows: 1 });
    // Microkernels read no step.
    this.#dispatcher.makeSteps(1);
    const first = this.#ownData(READ_BYTES);
    this.#data = [first];
    this.#cached = this.#dispatcher.owned.make("ceilings cached", CACHED_BYTES, GPUBufferUsage.STORAGE);
    this.#sums = this.#dispatcher.owned.make("ceilings sums", MOST_THREADS * 4, GPUBufferUsage.STORAGE);
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
      for (const buffer of made) this.#dispatcher.owned.release(buffer);
      if (!(error instanceof SluiceError && error.code === "device_limit")) throw error;
      return withLittleData(sizes);
    }
    const encoder = this.#gpu.device.createCommandEncoder();
    for (const buffer of made) {
      for (let at = 0; at < bytes; at += READ_BYTES) encoder.copyBufferToBuffer(first, 0, buffer, at, READ_BYTES);
    }
    this.#gpu.device.queue.submit([encoder.finish()]);
    this.#data = made;
    this.#dispatcher.owned.release(first);
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
    this.#dispatcher.clearArgs();
    const bound: BoundKernel[] = [];
    for (const data of this.#dataOf(candidate)) {
      const bufferOf = (name: string) => ({ buffer: name === "sums" ? this.#sums : data });
      bound.push(...(await this.#dispatcher.bind(kernel, { label: "ceilings", args, bufferOf })));
    }
    const launches = bound.map((each) => ({ ...each, step: 0, workgroups: kernel.workgroups(threads) }));
    await this.#gpu.idle();
    if (this.#emptyMs === Infinity) await this.#timeEmpty();
    const run = async (repeats: number): Promise<number> => {
      const encoder = device.createCommandEncoder();
      const pass = new BoundPass(encoder.beginComputePass(), this.#dispatcher.steps);
      for (let i = 0; i < repeats; i++) pass.launch(launches[i % launches.length] as (typeof launches)[number]);
      pass.end();
      return (await this.#timeSubmit(encoder)) - this.#emptyMs;
    };
    return bestDispatch(run, runs, lengthsFor(part, this.#emptyMs));
  }

  dispose(): void {
    this.#dispatcher.dispose();
  }

  /** The time to the device and back, part of every run: the shortest of nearly empty submits. */
  async #timeEmpty(): Promise<void> {
    for (let i = 0; i < EMPTIES; i++) {
      const encoder = this.#gpu.device.createCommandEncoder();
      encoder.clearBuffer(this.#sums, 0, 16);
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
    return this.#dispatcher.owned.make("ceilings data", bytes, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
  }
}
