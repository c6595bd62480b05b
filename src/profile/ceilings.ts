/**
 * A device's own ceilings: how fast it reads memory, multiplies and adds, and does so with the loads of a matrix product.
 * Each is the best of a family of microkernels, measured before and after what is compared with it.
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

/** All candidates are tried on a part of the work, which is enough to tell which are worth a longer look. */
const TRIAL_PART = 1 / 6;

/** Of all candidates for a ceiling, so many are timed thoroughly, and again later. */
const CONTENDERS = 5;

/** What was measured so far. */
export interface Survey {
  readonly ceilings: Ceilings;
  readonly contenders: readonly Microkernel[];
}

interface MeasureOptions {
  readonly signal?: AbortSignal | undefined;
  onProgress?(done: number, total: number): void;
}

/** Measures once: for a figure that nothing else is measured beside. */
export async function measureCeilings(
  gpu: Gpu,
  pipelines: PipelineCache,
  options: MeasureOptions = {},
): Promise<Ceilings> {
  return (await surveyCeilings(gpu, pipelines, options)).ceilings;
}

/**
 * Tries every candidate, then times the best few of each ceiling; takes some seconds on a software device, half of them
 * compiling. Its buffers are gone when it ends.
 */
export async function surveyCeilings(
  gpu: Gpu,
  pipelines: PipelineCache,
  { signal, onProgress }: MeasureOptions = {},
): Promise<Survey> {
  const bench = new MicroBench(gpu, pipelines);
  try {
    // A first run of one kernel tells how much work makes a run long enough to be timed.
    const trial = microkernels(1e7).find(({ ceiling }) => ceiling === "fma") as Microkernel;
    const trialMs = Math.max(0.05, await bench.time(trial, 2));
    const scale = Math.min(1e11, (1e7 * 4 * ENOUGH_MS) / trialMs);
    const candidates = microkernels(scale * TRIAL_PART, READ_BYTES * TRIAL_PART);
    await pipelines.prepare(
      candidates.map(({ kernel }) => kernel),
      undefined,
      signal,
    );
    const rates: number[] = [];
    for (const [i, candidate] of candidates.entries()) {
      throwIfAborted(signal);
      rates.push(await bench.rate(candidate, 2));
      onProgress?.(i + 1, candidates.length);
    }
    const rateOfTrial = (i: number): number => rates[i] ?? 0;
    const whole = microkernels(scale);
    const contenders = ceilingNames.flatMap((ceiling) =>
      candidates
        .flatMap((candidate, i) => (candidate.ceiling === ceiling ? [i] : []))
        .sort((a, b) => rateOfTrial(b) - rateOfTrial(a))
        .slice(0, CONTENDERS)
        .map((i) => whole[i] as Microkernel),
    );
    // What a part of the data gives may come from a cache: only the whole counts.
    return { contenders, ceilings: await timeAgain(bench, contenders, bestOf(new Map()), signal) };
  } finally {
    bench.dispose();
  }
}

/**
 * Times the best few again: what the machine was busy with at first may have ended, so that other work would seem to run
 * faster than the device can.
 * @returns the best of then and now
 */
export async function surveyAgain(
  gpu: Gpu,
  pipelines: PipelineCache,
  { ceilings, contenders }: Survey,
  { signal }: Pick<MeasureOptions, "signal"> = {},
): Promise<Ceilings> {
  const bench = new MicroBench(gpu, pipelines);
  try {
    return await timeAgain(bench, contenders, ceilings, signal);
  } finally {
    bench.dispose();
  }
}

const ceilingNames = ["read", "fma", "gemm"] as const satisfies readonly Microkernel["ceiling"][];

async function timeAgain(
  bench: MicroBench,
  contenders: readonly Microkernel[],
  before: Ceilings,
  signal: AbortSignal | undefined,
): Promise<Ceilings> {
  const rates = new Map<Microkernel, number>();
  for (const contender of contenders) {
    throwIfAborted(signal);
    rates.set(contender, await bench.rate(contender, 4));
  }
  const now = bestOf(rates);
  const better = (ceiling: Microkernel["ceiling"]): Ceilings =>
    rateOf(now, ceiling) > rateOf(before, ceiling) ? now : before;
  return {
    read_gb_per_s: better("read").read_gb_per_s,
    fma_gflop_per_s: better("fma").fma_gflop_per_s,
    gemm_gflop_per_s: better("gemm").gemm_gflop_per_s,
    kernels: {
      read: better("read").kernels.read,
      fma: better("fma").kernels.fma,
      gemm: better("gemm").kernels.gemm,
    },
  };
}

function rateOf(ceilings: Ceilings, ceiling: Microkernel["ceiling"]): number {
  return ceiling === "read" ? ceilings.read_gb_per_s : ceilings[`${ceiling}_gflop_per_s`];
}

/** @param rates in 10⁹ bytes or operations a second */
function bestOf(rates: ReadonlyMap<Microkernel, number>): Ceilings {
  const best = (ceiling: Microkernel["ceiling"]): { readonly rate: number; readonly name: string } => {
    let [rate, name] = [0, "none"];
    for (const [candidate, each] of rates) {
      if (candidate.ceiling !== ceiling || each <= rate) continue;
      [rate, name] = [each, `${candidate.kernel.name}, ${candidate.threads} threads`];
    }
    return { rate, name };
  };
  const [read, fma, gemm] = [best("read"), best("fma"), best("gemm")];
  return {
    read_gb_per_s: read.rate,
    fma_gflop_per_s: fma.rate,
    gemm_gflop_per_s: gemm.rate,
    kernels: { read: read.name, fma: fma.name, gemm: gemm.name },
  };
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

  /** 10⁹ bytes or operations a second, the best of `runs`. */
  async rate(candidate: Microkernel, runs: number): Promise<number> {
    return candidate.amount / (await this.time(candidate, runs)) / 1e6;
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
