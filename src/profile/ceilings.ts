/**
 * A device's own ceilings: how fast it reads memory, multiplies and adds, and does so with the loads of a matrix product.
 * Each is the best of a family of microkernels, measured in the same run as what is compared with it.
 */
import { throwIfAborted } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { PipelineCache } from "../gpu/pipelines.ts";
import { packArgs } from "../kernels/step.ts";
import { CACHED_BYTES, type Microkernel, MOST_THREADS, microkernels, READ_BYTES } from "./microkernels.ts";

export interface Ceilings {
  /** 10⁹ bytes a second, from memory. */
  readonly read_gb_per_s: number;
  /** 10⁹ floating-point operations a second; a fused multiply-add counts as two. */
  readonly fma_gflop_per_s: number;
  /** The same for an 8 × 8 outer product from cached data. */
  readonly gemm_gflop_per_s: number;
  /** Which microkernel set each. */
  readonly kernels: Readonly<Record<Microkernel["ceiling"], string>>;
}

/** Milliseconds that a timed run should at least take. */
const ENOUGH_MS = 12;

/** Measures all candidates; takes a few seconds on a software device, most of it compiling. */
export async function measureCeilings(
  gpu: Gpu,
  pipelines: PipelineCache,
  options: { readonly signal?: AbortSignal | undefined; onProgress?(done: number, total: number): void } = {},
): Promise<Ceilings> {
  const bench = new MicroBench(gpu, pipelines);
  try {
    // A first run of one kernel tells how much work makes a run long enough to be timed.
    const trial = microkernels(1e7).find(({ ceiling }) => ceiling === "fma") as Microkernel;
    const trialMs = Math.max(0.05, await bench.time(trial, 2));
    const candidates = microkernels(Math.min(1e11, (1e7 * 4 * ENOUGH_MS) / trialMs));
    const best = new Map<Microkernel["ceiling"], { rate: number; name: string }>();
    for (const [i, candidate] of candidates.entries()) {
      throwIfAborted(options.signal);
      const ms = await bench.time(candidate, 3);
      const rate = candidate.amount / ms / 1e6;
      const name = `${candidate.kernel.name}, ${candidate.threads} threads`;
      if (rate > (best.get(candidate.ceiling)?.rate ?? 0)) best.set(candidate.ceiling, { rate, name });
      options.onProgress?.(i + 1, candidates.length);
    }
    const of = (ceiling: Microkernel["ceiling"]) => best.get(ceiling) ?? { rate: 0, name: "none" };
    return {
      read_gb_per_s: of("read").rate,
      fma_gflop_per_s: of("fma").rate,
      gemm_gflop_per_s: of("gemm").rate,
      kernels: { read: of("read").name, fma: of("fma").name, gemm: of("gemm").name },
    };
  } finally {
    bench.dispose();
  }
}

/** Runs microkernels on buffers of its own. */
class MicroBench {
  readonly #gpu: Gpu;
  readonly #pipelines: PipelineCache;
  readonly #data: GPUBuffer;
  readonly #cached: GPUBuffer;
  readonly #sums: GPUBuffer;
  readonly #args: GPUBuffer;
  readonly #step: GPUBuffer;

  constructor(gpu: Gpu, pipelines: PipelineCache) {
    this.#gpu = gpu;
    this.#pipelines = pipelines;
    const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    this.#data = gpu.createBuffer("ceilings data", READ_BYTES, storage);
    this.#cached = gpu.createBuffer("ceilings cached", CACHED_BYTES, storage);
    this.#sums = gpu.createBuffer("ceilings sums", MOST_THREADS * 4, storage);
    this.#args = gpu.createBuffer("ceilings args", 16, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    this.#step = gpu.createBuffer("ceilings step", 256, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST);
    // Pages that were never written may all be one page of zeros, which a cache would hold.
    const block = new Float32Array(1 << 20).map((_, i) => (i % 1009) / 1009);
    for (let offset = 0; offset < READ_BYTES; offset += block.byteLength) {
      gpu.device.queue.writeBuffer(this.#data, offset, block, 0, Math.min(block.length, (READ_BYTES - offset) / 4));
    }
    gpu.device.queue.writeBuffer(this.#cached, 0, block, 0, CACHED_BYTES / 4);
  }

  /** Milliseconds of one run, the best of `runs`. */
  async time(candidate: Microkernel, runs: number): Promise<number> {
    const { device } = this.#gpu;
    const { kernel, threads, args } = candidate;
    const pipeline = await this.#pipelines.get(kernel);
    const group = device.createBindGroup({
      layout: this.#pipelines.layoutOf(kernel),
      entries: kernel.bindings.map(({ name, binding }) => ({
        binding,
        resource: { buffer: this.#bufferFor(name, candidate) },
      })),
    });
    const step = device.createBindGroup({
      layout: this.#pipelines.stepLayout,
      entries: [{ binding: 0, resource: { buffer: this.#step, size: 16 } }],
    });
    device.queue.writeBuffer(this.#args, 0, packArgs(kernel, args) as Uint32Array<ArrayBuffer>);
    await this.#gpu.idle();
    let best = Infinity;
    // The first run warms up.
    for (let run = 0; run <= runs; run++) {
      const started = performance.now();
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, step, [0]);
      pass.setBindGroup(1, group);
      pass.dispatchWorkgroups(...kernel.workgroups(threads));
      pass.end();
      device.queue.submit([encoder.finish()]);
      await this.#gpu.idle();
      if (run > 0) best = Math.min(best, performance.now() - started);
    }
    this.#gpu.checkAlive();
    return best;
  }

  dispose(): void {
    for (const buffer of [this.#data, this.#cached, this.#sums, this.#args, this.#step]) this.#gpu.release(buffer);
  }

  #bufferFor(name: string, { ceiling }: Microkernel): GPUBuffer {
    if (name === "args") return this.#args;
    if (name === "sums") return this.#sums;
    return ceiling === "read" ? this.#data : this.#cached;
  }
}
