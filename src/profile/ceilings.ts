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

/** Number of candidates for a ceiling that are timed thoroughly, and again later. */
const CONTENDERS = 5;

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
const found = new WeakMap<Gpu, Pick<Survey, "sizes" | "contenders">>();

/** Measures once, for a figure without comparison. */
export async function measureCeilings(
  gpu: Gpu,
  pipelines: PipelineCache,
  options: MeasureOptions = {},
): Promise<Ceilings> {
  return (await surveyCeilings(gpu, pipelines, options)).ceilings;
}

/**
 * Tries every candidate, then times the best few of each ceiling; takes some seconds on a software device, half of them
 * compiling. The next survey of the device goes straight to those few. It frees its buffers at the end.
 */
export async function surveyCeilings(
  gpu: Gpu,
  pipelines: PipelineCache,
  { signal, onProgress }: MeasureOptions = {},
): Promise<Survey> {
  const known = found.get(gpu);
  if (known) {
    const ceilings = await surveyAgain(gpu, pipelines, { ...known, ceilings: bestOf(new Map()) }, { signal });
    onProgress?.(known.contenders.length, known.contenders.length);
    return { ...known, ceilings };
  }
  const bench = new MicroBench(gpu, pipelines);
  try {
    const sizes = await bench.hold(await measureSizes(gpu, bench, signal));
    const candidates = microkernels(sizes.flops * TRIAL_PART, sizes.bytes * TRIAL_PART, sizes.wide);
    await pipelines.prepare(
      candidates.map(({ kernel }) => kernel),
      undefined,
      signal,
    );
    const rates: number[] = [];
    for (const [i, candidate] of candidates.entries()) {
      throwIfAborted(signal);
      rates.push(await bench.rate(candidate, 2, TRIAL_PART));
      onProgress?.(i + 1, candidates.length);
    }
    const rateOfTrial = (i: number): number => rates[i] ?? 0;
    const contenders = ceilingNames.flatMap((ceiling) =>
      candidates
        .flatMap((candidate, i) => (candidate.ceiling === ceiling ? [i] : []))
        .sort((a, b) => rateOfTrial(b) - rateOfTrial(a))
        .slice(0, CONTENDERS),
    );
    // A part of the data may come from a cache, so only the whole counts.
    const ceilings = await timeAgain(bench, pick(sizes, contenders), bestOf(new Map()), signal);
    found.set(gpu, { contenders, sizes });
    return { contenders, sizes, ceilings };
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
  const bench = new MicroBench(gpu, pipelines);
  try {
    // Less memory may be free now than before.
    return await timeAgain(bench, pick(await bench.hold(sizes), contenders), ceilings, signal);
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

function pick(sizes: Sizes, contenders: readonly number[]): readonly Microkernel[] {
  const all = microkernels(sizes.flops, sizes.bytes, sizes.wide);
  return contenders.map((i) => all[i] as Microkernel);
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

/** @param rates in 10⁹ bytes or operations per second */
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
