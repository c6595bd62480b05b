/** What times the dispatches of a profiled run. */
import type { DispatchObserver, DispatchWork } from "../runtime/run.ts";
import type { ClockName } from "./profile-result.ts";

/** A dispatch and when it ran, in nanoseconds of the clock that timed it; null if it gave no usable time. */
export interface TimedDispatch extends DispatchWork {
  readonly beginNs: number | null;
  readonly endNs: number | null;
}

export interface DispatchClock extends DispatchObserver {
  readonly name: ClockName;
  /** The last run's dispatches with their times, in order. */
  take(): Promise<readonly TimedDispatch[]>;
  dispose(): void;
}
