/** The families of microkernels from which a device's ceilings are taken: shaders/ceilings/. */
import type { Kernel } from "../kernels/kernel.ts";
import { READ_BYTES } from "./sizing.ts";

/** A kernel to time, and the work of one run of it. */
export interface Microkernel {
  readonly ceiling: "read" | "fma" | "gemm";
  readonly kernel: Kernel;
  /** Threads to launch. */
  readonly threads: number;
  readonly args: Readonly<Record<string, number>>;
  /** Bytes read, or floating-point operations. */
  readonly amount: number;
  /**
   * Whether software devices try it. Their threads run one after another, so that many workgroups, or sums that wait for
   * each other, have nothing to hide there, and the widest loads are always the fastest.
   */
  readonly software: boolean;
}

/** Bytes of the cached data of the gemm kernels. */
export const CACHED_BYTES = 16 << 10;
/** Maximum number of threads of a microkernel. */
export const MOST_THREADS = 1 << 18;

const WORKGROUPS = [8, 64, 512] as const;
/** Only the largest devices need this many threads; others do not try it. */
const WIDE_WORKGROUPS = [...WORKGROUPS, MOST_THREADS / 64] as const;

/** On software devices. */
const MOST_SOFTWARE_WORKGROUPS = 64;

/** Independent sums per thread. */
const ACCUMULATORS = [1, 2, 4, 8, 16] as const;

/** Shader conditions for that many sums: each adds to the ones before. */
function accumulatorConditions(count: number): Readonly<Record<string, boolean>> {
  return Object.fromEntries(ACCUMULATORS.slice(1).map((each) => [`accumulators_${each}`, count >= each]));
}

/**
 * Every candidate, in the same order each time, for about `scale` floating-point operations each.
 * @param bytes data of the read kernels
 * @param wide also try more threads
 */
export function microkernels(scale: number, bytes: number = READ_BYTES, wide = false): readonly Microkernel[] {
  const workgroups = wide ? WIDE_WORKGROUPS : WORKGROUPS;
  return [...readKernels(bytes, workgroups), ...fmaKernels(scale, workgroups), ...gemmKernels(scale, workgroups)];
}

function readKernels(bytes: number, workgroups: readonly number[]): readonly Microkernel[] {
  const widths = { scalar: 4, vec4: 16, mat4: 64 } as const;
  return (Object.keys(widths) as (keyof typeof widths)[]).flatMap((width) =>
    [true, false].flatMap((own) =>
      ACCUMULATORS.flatMap((accumulators) => {
        const kernel = describe(`ceiling_read_${width}_${own ? "own" : "side"}_${accumulators}`, {
          entry: "ceilings/read",
          conditions: { [`wide_${width}`]: true, own, ...accumulatorConditions(accumulators) },
          constants: { ACCUMULATORS: `${accumulators}u` },
          size: 64,
        });
        return workgroups.map((groups) => {
          const [elements, threads] = [bytes / widths[width], groups * 64];
          // A thread reads whole rounds: with little data, many threads would leave a part unread, or all.
          const rounds = Math.floor(elements / threads / accumulators);
          const amount = rounds * accumulators * threads * widths[width];
          const software = width === "mat4" && accumulators <= 2 && groups <= MOST_SOFTWARE_WORKGROUPS;
          return { ceiling: "read" as const, kernel, threads, args: { elements, threads }, amount, software };
        });
      }),
    ),
  );
}

function fmaKernels(scale: number, workgroups: readonly number[]): readonly Microkernel[] {
  return ACCUMULATORS.flatMap((accumulators) => {
    const kernel = describe(`ceiling_fma_${accumulators}`, {
      entry: "ceilings/fma",
      conditions: accumulatorConditions(accumulators),
      constants: {},
      size: 64,
    });
    return workgroups.map((groups) => {
      const threads = groups * 64;
      const trips = Math.max(64, Math.round(scale / (threads * accumulators * 8)));
      const args = { trips, seed: 0.5 };
      const amount = threads * trips * accumulators * 8;
      const software = accumulators > 1 && groups <= MOST_SOFTWARE_WORKGROUPS;
      return { ceiling: "fma" as const, kernel, threads, args, amount, software };
    });
  });
}

function gemmKernels(scale: number, workgroups: readonly number[]): readonly Microkernel[] {
  return [false, true].flatMap((blocks) => {
    const kernel = describe(`ceiling_gemm_${blocks ? "blocks" : "outer"}`, {
      entry: "ceilings/gemm",
      conditions: { blocks },
      constants: { CACHED: `${CACHED_BYTES / 16}u` },
      size: 32,
    });
    const each = blocks ? 512 : 128;
    return workgroups.map((groups) => {
      const threads = groups * 32;
      const trips = Math.max(64, Math.round(scale / (threads * each)));
      const amount = threads * trips * each;
      const software = groups <= MOST_SOFTWARE_WORKGROUPS;
      return { ceiling: "gemm" as const, kernel, threads, args: { trips }, amount, software };
    });
  });
}

interface Source {
  readonly entry: string;
  readonly conditions: Readonly<Record<string, boolean>>;
  readonly constants: Readonly<Record<string, string>>;
  readonly size: number;
}

function describe(name: string, { entry, conditions, constants, size }: Source): Kernel {
  return {
    name,
    shader: { entry, conditions, constants },
    summation: "none",
    workgroups: (threads) => [Math.ceil(threads / size), 1, 1],
    cost: () => ({ flops: 0, bytes: 0 }),
  };
}
