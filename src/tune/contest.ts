/**
 * Finds the fastest of several kernels with a coarse clock on a machine that does other work
 * too. The guess stays unless a challenger beats it clearly and repeatedly: a choice made by noise would be
 * remembered.
 */

/** Minimum length of a sample in steps of the clock, so that its end is uncertain by 5 %. */
export const SAMPLE_STEPS = 20;

/** Minimum milliseconds of a sample, a few turns of a scheduler: one interruption spoils a shorter one. */
export const SAMPLE_MS = 4;

/** Minimum number of runs in a sample, unless one run is that much longer than a sample must be: the first run wakes threads. */
const LEAST_REPEATS = 8;

/** A challenger takes at most this share of the time of the kernel that it replaces … */
const CLEARLY = 0.9;
/** … in each of this many alternations. */
const ALTERNATIONS = 3;

/** A kernel that takes this many times as long as the guess is not tried for larger shapes. */
const HOPELESS = 8;

/** One sample is enough for a kernel that runs for this many milliseconds. */
const LONG_MS = 50;

/** More repetitions than any kernel needs: if the clock shows no time then, it does not run. */
const MOST_REPEATS = 1 << 16;

/** Milliseconds that a number of runs of a kernel take, on a clock with some step; null if the clock failed. */
export type TimedRuns = (repeats: number) => Promise<number | null>;

/** Thrown if a clock does not show the passing time. */
export class ClockFailure extends Error {}

/**
 * Milliseconds of one run, from a sample that lasts {@link SAMPLE_STEPS} steps of the clock and {@link SAMPLE_MS}.
 * @param repeats number of runs at first; it grows until they last long enough
 * @throws ClockFailure
 */
export async function sampleRun(
  time: TimedRuns,
  stepMs: number,
  repeats = 1,
): Promise<{ readonly ms: number; readonly repeats: number }> {
  const enough = Math.max(SAMPLE_STEPS * stepMs, SAMPLE_MS);
  for (let count = repeats; count <= MOST_REPEATS; ) {
    const elapsed = await time(count);
    if (elapsed === null) throw new ClockFailure("A clock gave no time");
    const needed = count < LEAST_REPEATS ? LEAST_REPEATS * enough : enough;
    if (elapsed >= needed) return { ms: elapsed / count, repeats: count };
    // Below a step, the time only says that it is short.
    const wanted = Math.ceil((1.2 * count * enough) / Math.max(elapsed, stepMs, 1e-6));
    count = Math.max(LEAST_REPEATS, Math.min(count * 16, Math.max(count + 1, wanted)));
  }
  throw new ClockFailure("The clock does not advance");
}

export interface Contest {
  readonly guess: string;
  readonly challengers: readonly string[];
  /** Milliseconds of one run of a kernel, measured now. */
  sample(name: string): Promise<number>;
  /** Whether there is time for another sample. */
  mayGoOn(): boolean;
}

export interface Outcome {
  readonly chosen: string;
  /** The shortest milliseconds of a run, for each kernel that was tried. */
  readonly times: ReadonlyMap<string, number>;
  /** Kernels that larger shapes need not try. */
  readonly hopeless: readonly string[];
}

/** @returns null if time ran out before the contest was decided */
export async function decide(contest: Contest): Promise<Outcome | null> {
  const { guess, challengers, mayGoOn } = contest;
  const times = new Map<string, number>();
  const sample = async (name: string): Promise<number> => {
    const ms = await contest.sample(name);
    times.set(name, Math.min(ms, times.get(name) ?? Number.POSITIVE_INFINITY));
    return ms;
  };
  const best = (name: string): number => times.get(name) ?? Number.POSITIVE_INFINITY;
  for (const name of [guess, ...challengers]) {
    if (!mayGoOn()) return null;
    // The first sample warms up as well.
    if ((await sample(name)) > LONG_MS) continue;
    if (!mayGoOn()) return null;
    await sample(name);
  }
  let chosen = guess;
  for (const name of [...challengers].sort((a, b) => best(a) - best(b))) {
    if (best(name) > best(chosen)) break;
    let wins = 0;
    while (wins < ALTERNATIONS) {
      if (!mayGoOn()) return null;
      // They alternate in going first.
      const order = wins % 2 === 0 ? [chosen, name] : [name, chosen];
      const measured = new Map<string, number>();
      for (const each of order) measured.set(each, await sample(each));
      if ((measured.get(name) as number) > CLEARLY * (measured.get(chosen) as number)) break;
      wins++;
    }
    if (wins === ALTERNATIONS) chosen = name;
  }
  const hopeless = challengers.filter((name) => best(name) > HOPELESS * best(guess));
  return { chosen, times, hopeless };
}
