/** The clocks that kernels are timed on: the GPU's own where it has one that works, else the host's. */
import type { Gpu } from "../gpu/gpu.ts";

export interface Stopwatch {
  readonly source: "gpu timestamps" | "host clock";
  /** Milliseconds between two readings that differ, at least. */
  readonly stepMs: number;
  /** Runs one compute pass; resolves to its milliseconds, or null where the clock gave none. */
  time(encode: (pass: GPUComputePassEncoder) => void): Promise<number | null>;
  dispose(): void;
}

/** Passes from whose stamps the step of the GPU's clock is told. */
const TRIALS = 12;

/** Where stamps are too few to tell: browsers round to 100 µs, and nothing is known to be coarser. */
const COARSE_NS = 100_000;

/** Waiting for the GPU looks up once a millisecond (gpu/waiting.ts), which is coarser than any host clock. */
const WAIT_STEP_MS = 1;

/**
 * @param trial what to encode in order to see the clock move
 */
export async function openStopwatch(gpu: Gpu, trial: (pass: GPUComputePassEncoder) => void): Promise<Stopwatch> {
  if (gpu.profile.features.timestampQuery) {
    const stamps = new GpuStopwatch(gpu);
    if (await stamps.calibrate(trial)) return stamps;
    stamps.dispose();
  }
  return new HostStopwatch(gpu);
}

/** The host's clock around a submit. */
export class HostStopwatch implements Stopwatch {
  readonly source = "host clock";
  readonly stepMs = WAIT_STEP_MS;
  readonly #gpu: Gpu;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
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
    this.#gpu.checkAlive();
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

  /** Finds the step out: what all stamps are multiples of, seen from the first. @returns whether the clock works */
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

  /** Stamps that are zero or run backwards are none. */
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
    await this.#gpu.waiter.until(() => this.#readable.mapAsync(GPUMapMode.READ));
    const [begin = 0n, end = 0n] = new BigUint64Array(this.#readable.getMappedRange());
    this.#readable.unmap();
    return begin !== 0n && end >= begin ? [begin, end] : null;
  }
}

function divisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : divisor(b, a % b);
}
