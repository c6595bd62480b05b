/** GPU timestamps around every dispatch of a run. */

import type { Gpu } from "../gpu/gpu.ts";
import type { DispatchWork } from "../runtime/run.ts";
import type { DispatchClock, TimedDispatch } from "./dispatch-clock.ts";

export class TimestampObserver implements DispatchClock {
  readonly name = "gpu timestamps";
  readonly alone = false;
  readonly #gpu: Gpu;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #readable: GPUBuffer;
  readonly #most: number;
  #works: DispatchWork[] = [];

  /** @param most maximum number of dispatches of a run */
  constructor(gpu: Gpu, most: number) {
    this.#gpu = gpu;
    this.#most = most;
    this.#queries = gpu.device.createQuerySet({ type: "timestamp", count: 2 * most });
    const bytes = 2 * most * 8;
    this.#resolved = gpu.createBuffer("timestamps", bytes, GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC);
    this.#readable = gpu.createBuffer("timestamps read", bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  }

  begin(work: DispatchWork): GPUComputePassDescriptor {
    const index = this.#works.push(work) - 1;
    if (index >= this.#most) throw new Error(`A profiled run has more than ${this.#most} dispatches`);
    return {
      label: work.dispatch.label,
      timestampWrites: {
        querySet: this.#queries,
        beginningOfPassWriteIndex: 2 * index,
        endOfPassWriteIndex: 2 * index + 1,
      },
    };
  }

  finish(encoder: GPUCommandEncoder): void {
    const count = 2 * this.#works.length;
    encoder.resolveQuerySet(this.#queries, 0, count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#readable, 0, count * 8);
  }

  async take(): Promise<readonly TimedDispatch[]> {
    const works = this.#works;
    this.#works = [];
    await this.#gpu.map(this.#readable, works.length * 16);
    const stamps = new BigUint64Array(this.#readable.getMappedRange(0, works.length * 16).slice(0));
    this.#readable.unmap();
    return works.map((work, i) => {
      const [begin, end] = [stamps[2 * i] as bigint, stamps[2 * i + 1] as bigint];
      return { ...work, ...usableStamps(begin, end) };
    });
  }

  dispose(): void {
    this.#queries.destroy();
    this.#gpu.release(this.#resolved);
    this.#gpu.release(this.#readable);
  }
}

/** Two stamps as nanoseconds; both null if one is zero or they run backwards: such stamps are not a measurement. */
export function usableStamps(begin: bigint, end: bigint): Pick<TimedDispatch, "beginNs" | "endNs"> {
  if (begin === 0n || end === 0n || end < begin) return { beginNs: null, endNs: null };
  return { beginNs: Number(begin), endNs: Number(end) };
}

/** The clock's step in nanoseconds, as the stamps show it: their greatest common divisor. */
export function resolutionOf(dispatches: readonly TimedDispatch[]): number | null {
  let step = 0;
  const origin = dispatches[0]?.beginNs ?? null;
  if (origin === null) return null;
  for (const { beginNs, endNs } of dispatches) {
    for (const stamp of [beginNs, endNs]) if (stamp !== null) step = divisor(step, Math.abs(stamp - origin));
  }
  return step === 0 ? null : step;
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
