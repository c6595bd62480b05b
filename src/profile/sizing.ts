/**
 * How much work shows what a device can do, on a host's clock: so much that the way to the device and back does not count,
 * and data that no cache holds; but on slow devices no more than is waited for.
 */

/** Milliseconds that a timed run should at least take. */
export const ENOUGH_MS = 12;

/** All candidates are tried on a part of the work, which is enough to tell which are worth a longer look. */
export const TRIAL_PART = 1 / 6;

/** Operations of the first run, by a kernel that uses few of a device's units. */
export const TRIAL_FLOPS = 1e7;

/** What the read kernels go through at least: beyond the caches of slow devices, within the guaranteed binding. */
export const READ_BYTES = 96 << 20;

/** Most times {@link READ_BYTES}: three times the largest cache known of. */
const MOST_UNITS = 8;

/** Work of one dispatch at most; more of it comes from repeating. */
const MOST_FLOPS = 1e12;

/** Dispatches of a pass at most: the host should not be seen recording them. */
const MOST_REPEATS = 4096;

/** So many times what an empty submit takes, whose length varies, too. */
const EMPTIES = 4;

/** What one dispatch of each kind amounts to. */
export interface Sizes {
  /** Operations. */
  readonly flops: number;
  /** Bytes read from one buffer. */
  readonly bytes: number;
  /** Buffers of so many bytes, which repeated dispatches take in turns. */
  readonly buffers: number;
  /** Whether the device may need more threads to be filled than slow ones do. */
  readonly wide: boolean;
}

/** What everything is on slow devices, and where there is no memory for more. */
export function withLittleData(sizes: Sizes): Sizes {
  return { ...sizes, bytes: READ_BYTES, buffers: 1 };
}

/**
 * @param trialMs of {@link TRIAL_FLOPS} by a slow kernel
 * @param bytesPerMs read, by a kernel that is not slow; a cache may have served it
 * @param bindable bytes of a buffer that a kernel can read
 */
export function sizesFor(trialMs: number, bytesPerMs: number, bindable: number): Sizes {
  // Caches grow with bandwidth: none holds what its device reads from memory in a millisecond, up to the largest ones.
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

/** Milliseconds that a run takes at least to be counted. */
export interface Lengths {
  readonly least: number;
  /** What to aim at where it takes less. */
  readonly aim: number;
}

/** @param part of the work of a timed run */
export function lengthsFor(part: number, emptyMs: number): Lengths {
  const least = Math.max(ENOUGH_MS * part, EMPTIES * emptyMs);
  // What lasts longer is looked for once a millisecond (gpu/waiting.ts).
  return { least, aim: Math.max(2 * least, ENOUGH_MS) };
}

/**
 * Milliseconds of one dispatch, the best of some runs, each of as many dispatches as make it long enough.
 * @param run resolves to the milliseconds of so many dispatches, without those of an empty submit
 */
export async function bestDispatch(
  run: (repeats: number) => Promise<number>,
  runs: number,
  lengths: Lengths,
): Promise<number> {
  let [repeats, best] = [1, Infinity];
  // The first run warms up.
  for (let counted = -1; counted < runs; counted++) {
    // A clock may show nothing.
    const ms = Math.max(1e-3, await run(repeats));
    const more = enoughRepeats(repeats, ms, lengths);
    if (more > repeats) [repeats, best, counted] = [more, Infinity, -1];
    else if (counted >= 0) best = Math.min(best, ms / repeats);
  }
  return best;
}

/** How many dispatches to time, where so many took so long: as many again, if that was long enough. */
export function enoughRepeats(repeats: number, ms: number, { least, aim }: Lengths): number {
  if (ms >= least || repeats >= MOST_REPEATS) return repeats;
  // The way there and back makes short runs seem longer or, subtracted, like nothing: no leaps.
  const wanted = Math.ceil((repeats * aim) / Math.max(ms, aim / 16));
  return Math.min(MOST_REPEATS, Math.max(repeats + 1, wanted));
}
