/** What times dispatches: the GPU's own clock, or the host's if the GPU has none that works. */

import type { Gpu } from "../gpu/gpu.ts";
import type { DispatchWork } from "../runtime/run.ts";
import type { DispatchClock, TimedDispatch } from "./dispatch-clock.ts";
import type { ProfiledLane } from "./lane.ts";
import type { ClockName } from "./profile-result.ts";
import { TimestampObserver } from "./timestamps.ts";

/**
 * The host's clock, each dispatch in its own submit: from encoding until the host knows that it is done. This includes
 * the way to the GPU and back.
 */
export class HostClock implements DispatchClock {
  readonly alone = true;
  readonly name: ClockName;
  #works: DispatchWork[] = [];
  #begins: number[] = [];

  constructor(name: ClockName) {
    this.name = name;
  }

  begin(work: DispatchWork): GPUComputePassDescriptor {
    this.#works.push(work);
    this.#begins.push(nowNs());
    return { label: work.dispatch.label };
  }

  finish(): void {
    // The last dispatch ends when the host has waited for it; its times are read then.
  }

  async take(): Promise<readonly TimedDispatch[]> {
    const [works, begins] = [this.#works, [...this.#begins, nowNs()]];
    this.#works = [];
    this.#begins = [];
    return works.map((work, i) => ({ ...work, beginNs: begins[i] as number, endNs: begins[i + 1] as number }));
  }

  dispose(): void {
    this.#works = [];
    this.#begins = [];
  }
}

/** The GPU's clock, if the device has one and a run of the lane shows that it works; else the host's. */
export async function chooseClock(gpu: Gpu, lane: ProfiledLane): Promise<DispatchClock> {
  if (!gpu.profile.features.timestampQuery) {
    return new HostClock("host clock around each dispatch: this device has no timestamp-query");
  }
  const stamps = new TimestampObserver(gpu, lane.mostDispatches);
  let works = false;
  try {
    const { timed } = await lane.run({ clock: stamps });
    works = timed.some(({ beginNs }) => beginNs !== null);
  } finally {
    // Also after an abort: no caller has this clock yet, so none could close it.
    if (!works) stamps.dispose();
  }
  if (works) return stamps;
  return new HostClock("host clock around each dispatch: this device's timestamps are zero or run backwards");
}

function nowNs(): number {
  return Math.round(performance.now() * 1e6);
}
