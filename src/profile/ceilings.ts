/**
 * A device's own ceilings: memory bandwidth, multiply-adds, and multiply-adds with the loads of a matrix product.
 * Each is the best of a family of microkernels, measured before and after the work that is compared with it.
 */
import { throwIfAborted } from "../errors.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { MicroBench } from "./micro-bench.ts";
import { type Microkernel, microkernels } from "./microkernels.ts";
import { READ_BYTES, type Sizes, sizesFor, TRIAL_FLOPS, TRIAL_PART } from "./sizing.ts";

/** A device's ceilings, measured by microkernels. */
export interface Ceilings {
  /** 10⁹ bytes per second, from memory. */
  readonly read_gb_per_s: number;
  /** 10⁹ floating-point operations per second; a fused multiply-add counts as two. */
  readonly fma_gflop_per_s: number;
  /** The same for an 8 × 8 outer product from cached data. */
  readonly gemm_gflop_per_s: number;
  /** The microkernel that reached each ceiling. */
  readonly kernels: Readonly<Record<"read" | "fma" | "gemm", string>>;
}

/** Number of candidates for a ceiling that are timed thoroughly. */
const CONTENDERS = 5;

/** Number of those that are timed again later. */
const BEST = 2;

/** The measurements so far. */
export interface Survey {
  readonly ceilings: Ceilings;
  readonly sizes: Sizes;
  /** The best candidates, as indices. */
  readonly contenders: readonly number[];
}

interface MeasureOptions {
  readonly signal?: AbortSignal | undefined;
  onProgress?(done: number, total: number): void;
}

/** What was found of devices: which candidates are worth timing, and on how much work. Speeds are measured each time. */
const found = new WeakMap<GPUDevice, Pick<Survey, "sizes" | "contenders">>();

/** Measures once, for a figure without comparison. */
export async function measureCeilings(
  gpu: Gpu,
  pipelines: PipelineCache,
  options: MeasureOptions = {},
): Promise<Ceilings> {
  return (await surveyCeilings(gpu, pipelines, options)).ceilings;
}

/**
 * Tries every candidate, then times the best few of each ceiling; takes some seconds on a software device. The next survey
 * of the device goes straight to the best. It frees its buffers at the end.
 */
export async function surveyCeilings(
  gpu: Gpu,
  pipelines: PipelineCache,
  { signal, onProgress }: MeasureOptions = {},
): Promise<Survey> {
  throwIfAborted(signal);
  const known = found.get(gpu.device);
  if (known) {
    const ceilings = await surveyAgain(gpu, pipelines, { ...known, ceilings: bestOf([]) }, { signal });
    onProgress?.(known.contenders.length, known.contenders.length);
    return { ...known, ceilings };
  }
  const bench = new MicroBench(gpu, pipelines);
  try {
    const sizes = await bench.hold(await measureSizes(gpu, bench, signal));
    const all = microkernels(sizes.flops * TRIAL_PART, sizes.bytes * TRIAL_PART, sizes.wide);
    const candidates = [...all.entries()].filter(([, { software }]) => software || !gpu.profile.software);
    await pipelines.prepare(
      candidates.map(([, { kernel }]) => kernel),
      undefined,
      signal,
    );
    const trials: Timed[] = [];
    for (const [index, candidate] of candidates) {
      throwIfAborted(signal);
      trials.push({ index, candidate, rate: await bench.rate(candidate, 2, TRIAL_PART) });
      onProgress?.(trials.length, candidates.length);
    }
    // A part of the data may come from a cache, so only the whole counts.
    const timed = await timeAll(bench, sizes, bestFew(trials, CONTENDERS), signal);
    const contenders = bestFew(timed, BEST);
    found.set(gpu.device, { contenders, sizes });
    return { contenders, sizes, ceilings: bestOf(timed) };
  } finally {
    bench.dispose();
  }
}

/**
 * Times the best few again: the machine may have been busy at first, so that other work would seem to run
 * faster than the device can.
 * @returns the better of both times
 */
export async function surveyAgain(
  gpu: Gpu,
  pipelines: PipelineCache,
  { ceilings, contenders, sizes }: Survey,
  { signal }: Pick<MeasureOptions, "signal"> = {},
): Promise<Ceilings> {
  throwIfAborted(signal);
  const bench = new MicroBench(gpu, pipelines);
  try {
    // Less memory may be free now than before.
    return betterOf(ceilings, bestOf(await timeAll(bench, await bench.hold(sizes), contenders, signal)));
  } finally {
    bench.dispose();
  }
}

/** A first look at two kernels tells how much work makes a run long enough to be timed. */
async function measureSizes(gpu: Gpu, bench: MicroBench, signal: AbortSignal | undefined): Promise<Sizes> {
  const trials = microkernels(TRIAL_FLOPS, READ_BYTES * TRIAL_PART);
  const slow = trials.find(({ ceiling }) => ceiling === "fma") as Microkernel;
  const reader = trials.find(({ kernel, threads }) => {
    return kernel.name === "ceiling_read_vec4_side_4" && threads === 512 * 64;
  }) as Microkernel;
  const trialMs = await bench.time(slow, 2, TRIAL_PART);
  throwIfAborted(signal);
  const bytesPerMs = reader.amount / (await bench.time(reader, 2, TRIAL_PART));
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.profile.limits;
  return sizesFor(trialMs, bytesPerMs, Math.min(maxBufferSize, maxStorageBufferBindingSize));
}

const ceilingNames = ["read", "fma", "gemm"] as const satisfies readonly Microkernel["ceiling"][];

/** What a candidate reached. */
interface Timed {
  readonly index: number;
  readonly candidate: Microkernel;
  /** 10⁹ bytes or operations per second. */
  readonly rate: number;
}

async function timeAll(
  bench: MicroBench,
  { flops, bytes, wide }: Sizes,
  contenders: readonly number[],
  signal: AbortSignal | undefined,
): Promise<readonly Timed[]> {
  const all = microkernels(flops, bytes, wide);
  const timed: Timed[] = [];
  for (const index of contenders) {
    throwIfAborted(signal);
    const candidate = all[index] as Microkernel;
    timed.push({ index, candidate, rate: await bench.rate(candidate, 4) });
  }
  return timed;
}

/** The fastest of a ceiling, the best first. */
function fastest(timed: readonly Timed[], ceiling: Microkernel["ceiling"]): readonly Timed[] {
  return timed.filter(({ candidate }) => candidate.ceiling === ceiling).sort((a, b) => b.rate - a.rate);
}

/** The indices of the fastest of each ceiling. */
function bestFew(timed: readonly Timed[], count: number): readonly number[] {
  return ceilingNames.flatMap((ceiling) => fastest(timed, ceiling).slice(0, count)).map(({ index }) => index);
}

function bestOf(timed: readonly Timed[]): Ceilings {
  const best = (ceiling: Microkernel["ceiling"]): { readonly rate: number; readonly name: string } => {
    const [first] = fastest(timed, ceiling);
    if (!first || first.rate <= 0) return { rate: 0, name: "none" };
    return { rate: first.rate, name: `${first.candidate.kernel.name}, ${first.candidate.threads} threads` };
  };
  const [read, fma, gemm] = [best("read"), best("fma"), best("gemm")];
  return {
    read_gb_per_s: read.rate,
    fma_gflop_per_s: fma.rate,
    gemm_gflop_per_s: gemm.rate,
    kernels: { read: read.name, fma: fma.name, gemm: gemm.name },
  };
}

/** Of two measurements, the better of each ceiling. */
function betterOf(one: Ceilings, other: Ceilings): Ceilings {
  const read = one.read_gb_per_s >= other.read_gb_per_s ? one : other;
  const fma = one.fma_gflop_per_s >= other.fma_gflop_per_s ? one : other;
  const gemm = one.gemm_gflop_per_s >= other.gemm_gflop_per_s ? one : other;
  return {
    read_gb_per_s: read.read_gb_per_s,
    fma_gflop_per_s: fma.fma_gflop_per_s,
    gemm_gflop_per_s: gemm.gemm_gflop_per_s,
    kernels: { read: read.kernels.read, fma: fma.kernels.fma, gemm: gemm.kernels.gemm },
  };
}
