/**
 * How much work shows a device's speed on a host's clock: enough that the way to the device and back does not matter,
 * on data that no cache holds; but on slow devices no more than a user would wait for.
 */

/** Minimum milliseconds of a timed run. */
export const ENOUGH_MS = 12;

/** All candidates are tried on a part of the work, which shows which ones are worth a longer look. */
export const TRIAL_PART = 1 / 6;

/** Operations of the first run, by a kernel that uses few of a device's units. */
export const TRIAL_FLOPS = 1e7;

/** Minimum data of the read kernels: larger than the caches of slow devices, within the guaranteed binding size. */
export const READ_BYTES = 96 << 20;

/** Maximum multiple of {@link READ_BYTES}: three times the largest known cache. */
const MOST_UNITS = 8;

/** Maximum work of one dispatch; more work is done by repeating it. */
const MOST_FLOPS = 1e12;

/** Maximum number of dispatches per pass: the host's recording of them must not show. */
const MOST_REPEATS = 4096;

/** Minimum length of a run, as a multiple of an empty submit's time, which varies too. */
const EMPTIES = 4;

/** The work of one dispatch of each kind. */
export interface Sizes {
  /** Operations. */
  readonly flops: number;
  /** Bytes read from one buffer. */
  readonly bytes: number;
  /** Number of buffers of that size, which repeated dispatches use in turn. */
  readonly buffers: number;
  /** Whether the device may need more threads than slow ones to be filled. */
  readonly wide: boolean;
}

/** The sizes for slow devices, and if there is no memory for more. */
export function withLittleData(sizes: Sizes): Sizes {
  return { ...sizes, bytes: READ_BYTES, buffers: 1 };
}

/**
 * @param trialMs of {@link TRIAL_FLOPS} by a slow kernel
 * @param bytesPerMs read, by a kernel that is not slow; a cache may have served it
 * @param bindable bytes of a buffer that a kernel can read
 */
export function sizesFor(trialMs: number, bytesPerMs: number, bindable: number): Sizes {
  // Caches grow with bandwidth: no cache holds as much as its device reads from memory in a millisecond.
  const wanted = Math.min(MOST_UNITS, bytesPerMs / READ_BYTES);
  const units = powerOfTwo(Math.ceil(wanted));
  // One buffer if possible: there are a few microseconds between dispatches.
  const each = powerOfTwo(Math.min(units, Math.floor(bindable / READ_BYTES)), Math.floor);
  return {
    flops: Math.min(MOST_FLOPS, (TRIAL_FLOPS * 4 * ENOUGH_MS) / trialMs),
    bytes: each * READ_BYTES,
    buffers: units / each,
    wide: units > 1,
  };
}

function powerOfTwo(count: number, round: (exponent: number) => number = Math.ceil): number {
  return 2 ** round(Math.log2(Math.max(1, count)));
}

/** Minimum milliseconds of a run that counts. */
export interface Lengths {
  readonly least: number;
  /** The target for a run that takes less. */
  readonly aim: number;
}

/** @param part of the work of a timed run */
export function lengthsFor(part: number, emptyMs: number): Lengths {
  const least = Math.max(ENOUGH_MS * part, EMPTIES * emptyMs);
  // The end of longer work is checked once per millisecond (gpu/waiting.ts).
  return { least, aim: Math.max(2 * least, ENOUGH_MS) };
}

/**
 * Milliseconds of one dispatch, the best of some runs, each with as many dispatches as make it long enough.
 * @param run resolves to the milliseconds of that many dispatches, minus those of an empty submit
 */
export async function bestDispatch(
  run: (repeats: number) => Promise<number>,
  runs: number,
  lengths: Lengths,
): Promise<number> {
  let [repeats, best] = [1, Infinity];
  // The first run warms up.
  for (let counted = -1; counted < runs; counted++) {
    // A clock may show no time.
    const ms = Math.max(1e-3, await run(repeats));
    const more = enoughRepeats(repeats, ms, lengths);
    if (more > repeats) [repeats, best, counted] = [more, Infinity, -1];
    else if (counted >= 0) best = Math.min(best, ms / repeats);
  }
  return best;
}

/** How many dispatches to time next, given the time of this many: the same number, if that was long enough. */
export function enoughRepeats(repeats: number, ms: number, { least, aim }: Lengths): number {
  if (ms >= least || repeats >= MOST_REPEATS) return repeats;
  // The way there and back makes short runs seem longer or, subtracted, empty: so grow in small steps.
  const wanted = Math.ceil((repeats * aim) / Math.max(ms, aim / 16));
  return Math.min(MOST_REPEATS, Math.max(repeats + 1, wanted));
}
