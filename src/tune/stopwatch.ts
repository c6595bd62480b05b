/** The clocks that kernels are timed on: the GPU's own if it works, else the host's. */
import type { Gpu } from "../gpu/gpu.ts";
import { ClockFailure } from "./contest.ts";

export interface Stopwatch {
  readonly source: "gpu timestamps" | "host clock";
  /** Minimum milliseconds between two different readings. */
  readonly stepMs: number;
  /** Runs one compute pass; resolves to its milliseconds, or null if the clock gave none. */
  time(encode: (pass: GPUComputePassEncoder) => void): Promise<number | null>;
  dispose(): void;
}

/** Passes whose stamps show the step of the GPU's clock. */
const TRIALS = 12;

/** The step if there are too few stamps: browsers round to 100 µs, and no clock is known to be coarser. */
const COARSE_NS = 100_000;

/** Waiting for the GPU checks once per millisecond (gpu/waiting.ts), which is coarser than any host clock. */
const WAIT_STEP_MS = 1;

/** Coarser clocks are not used: samples would take too long to decide much in a tuner's time. */
const COARSEST_MS = 10;

/** Number of empty waits that show a host's step. */
const EMPTY_WAITS = 7;

/**
 * @param trial work to encode, to see the clock advance
 * @throws ClockFailure if there is only a coarse clock
 */
export async function openStopwatch(gpu: Gpu, trial: (pass: GPUComputePassEncoder) => void): Promise<Stopwatch> {
  if (gpu.profile.features.timestampQuery) {
    const stamps = new GpuStopwatch(gpu);
    let works = false;
    try {
      works = await stamps.calibrate(trial);
    } finally {
      // Also after a failure: no caller has this clock yet, so none could close it.
      if (!works) stamps.dispose();
    }
    if (works) return stamps;
  }
  const stepMs = await stepOfHost(async () => {
    gpu.device.queue.submit([]);
    await gpu.idle();
  });
  if (stepMs > COARSEST_MS) {
    throw new ClockFailure(`The host reports finished work only every ${stepMs.toFixed(0)} ms`);
  }
  return new HostStopwatch(gpu, stepMs);
}

/**
 * Milliseconds between two moments at which a host reports finished work. An empty wait is finished at once and reported
 * at the next such moment; a wait that begins then ends at the moment after it.
 * @param waitForNothing submits nothing, and waits for it
 */
export async function stepOfHost(waitForNothing: () => Promise<void>): Promise<number> {
  // Begins anywhere between two moments, and ends at one.
  await waitForNothing();
  const took: number[] = [];
  for (let i = 0; i < EMPTY_WAITS; i++) {
    const started = performance.now();
    await waitForNothing();
    took.push(performance.now() - started);
  }
  took.sort((a, b) => a - b);
  // The median: a timer that fires early makes one short, other work of the machine makes some long.
  return Math.max(WAIT_STEP_MS, took[Math.floor(EMPTY_WAITS / 2)] as number);
}

/** The host's clock around a submit. */
class HostStopwatch implements Stopwatch {
  readonly source = "host clock";
  readonly stepMs: number;
  readonly #gpu: Gpu;

  constructor(gpu: Gpu, stepMs: number) {
    this.#gpu = gpu;
    this.stepMs = stepMs;
  }

  async time(encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const encoder = this.#gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encode(pass);
    pass.end();
    const commands = encoder.finish();
    const started = performance.now();
    this.#gpu.device.queue.submit([commands]);
    await this.#gpu.idle();
    return performance.now() - started;
  }

  dispose(): void {
    // It owns nothing. A check of the device here would throw instead of the error that ended the tuning.
  }
}

/** Timestamps at both ends of a pass. */
class GpuStopwatch implements Stopwatch {
  readonly source = "gpu timestamps";
  readonly #gpu: Gpu;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #readable: GPUBuffer;
  #stepNs = COARSE_NS;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.#queries = gpu.device.createQuerySet({ type: "timestamp", count: 2 });
    this.#resolved = gpu.createBuffer("stamps", 16, GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC);
    this.#readable = gpu.createBuffer("stamps read", 16, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  }

  get stepMs(): number {
    return this.#stepNs / 1e6;
  }

  /** Determines the step: all stamps, relative to the first, are multiples of it. @returns whether the clock works */
  async calibrate(trial: (pass: GPUComputePassEncoder) => void): Promise<boolean> {
    let step = 0n;
    let origin: bigint | undefined;
    for (let i = 0; i < TRIALS; i++) {
      const stamps = await this.#run(trial);
      if (!stamps) return false;
      origin ??= stamps[0];
      for (const stamp of stamps) step = divisor(step, stamp > origin ? stamp - origin : origin - stamp);
    }
    this.#stepNs = step === 0n ? COARSE_NS : Math.min(COARSE_NS, Number(step));
    return true;
  }

  async time(encode: (pass: GPUComputePassEncoder) => void): Promise<number | null> {
    const stamps = await this.#run(encode);
    return stamps && Number(stamps[1] - stamps[0]) / 1e6;
  }

  dispose(): void {
    this.#queries.destroy();
    this.#gpu.release(this.#resolved);
    this.#gpu.release(this.#readable);
  }

  /** Stamps that are zero or run backwards do not count. */
  async #run(encode: (pass: GPUComputePassEncoder) => void): Promise<readonly [bigint, bigint] | null> {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    const timestampWrites = { querySet: this.#queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
    const pass = encoder.beginComputePass({ timestampWrites });
    encode(pass);
    pass.end();
    encoder.resolveQuerySet(this.#queries, 0, 2, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#readable, 0, 16);
    device.queue.submit([encoder.finish()]);
    await this.#gpu.idle();
    await this.#gpu.map(this.#readable);
    const [begin = 0n, end = 0n] = new BigUint64Array(this.#readable.getMappedRange());
    this.#readable.unmap();
    return begin !== 0n && end >= begin ? [begin, end] : null;
  }
}

function divisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : divisor(b, a % b);
}
