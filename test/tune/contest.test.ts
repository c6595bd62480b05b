/** The tuner's judgement, on played clocks: coarse, noisy, broken. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ClockFailure, decide, SAMPLE_MS, SAMPLE_STEPS, sampleRun } from "../../src/tune/contest.ts";
import { seeded } from "../kernels/inputs.ts";

/** Decides between kernels of these true times, seen through `noise`. */
function contest(
  truth: Readonly<Record<string, number>>,
  noise: () => number = () => 1,
  samplesLeft = Number.POSITIVE_INFINITY,
) {
  const [guess = "", ...challengers] = Object.keys(truth);
  const sampled: string[] = [];
  const outcome = decide({
    guess,
    challengers,
    async sample(name) {
      sampled.push(name);
      return (truth[name] as number) * noise();
    },
    mayGoOn: () => sampled.length < samplesLeft,
  });
  return outcome.then((result) => ({ result, sampled }));
}

test("the guess keeps its place unless a challenger takes at most 0.9 of its time", async () => {
  for (const [time, chosen] of [
    [1, "guess"],
    [0.91, "guess"],
    [0.9, "other"],
    [0.5, "other"],
    [1.5, "guess"],
  ] as const) {
    const { result } = await contest({ guess: 1, other: time });
    assert.is(result?.chosen, chosen, `${time}`);
  }
  const { result } = await contest({ guess: 10, slow: 11, good: 8, best: 5, hopeless: 100 });
  assert.is(result?.chosen, "best");
  assert.equal(result?.hopeless, ["hopeless"]);
  assert.equal([...(result?.times ?? [])].length, 5);
});

test("a challenger must win three alternations, and they take turns in going first", async () => {
  const { sampled } = await contest({ guess: 1, other: 0.5 });
  assert.equal(sampled.slice(4), ["guess", "other", "other", "guess", "guess", "other"]);
  // Two lucky alternations are not enough.
  const times = { guess: [1, 1, 1, 1, 1], other: [0.5, 0.5, 0.5, 0.5, 1] };
  const at = { guess: 0, other: 0 };
  const outcome = await decide({
    guess: "guess",
    challengers: ["other"],
    sample: async (name) => times[name as "guess" | "other"][at[name as "guess" | "other"]++] as number,
    mayGoOn: () => true,
  });
  assert.is(outcome?.chosen, "guess");
});

test("noise alone hardly ever changes the choice", async () => {
  const random = seeded(11);
  let changed = 0;
  for (let i = 0; i < 300; i++) {
    const { result } = await contest(
      { guess: 1, a: 1, b: 1, c: 1 },
      () => 1 + 0.3 * random() + (random() < 0.1 ? 3 : 0),
    );
    if (result?.chosen !== "guess") changed++;
  }
  assert.ok(changed <= 9, `${changed} of 300`);
});

test("a contest that time runs out on decides nothing, at any sample", async () => {
  for (let left = 0; left <= 8; left++)
    assert.is((await contest({ guess: 1, other: 0.5 }, undefined, left)).result, null);
  assert.is((await contest({ guess: 1, other: 0.5 }, undefined, 10)).result?.chosen, "other");
});

test("a sample lasts twenty steps of the clock, however coarse, and long enough on a fine one", async () => {
  const random = seeded(12);
  for (const [step, run] of [
    [0.1, 0.0007],
    [0.065536, 0.3],
    [1, 0.02],
    [5, 4],
    [1e-6, 0.01],
    [0.1, 700],
  ] as const) {
    let longest = 0;
    let begun = 0;
    // What the clock shows: whole steps, from a moment between two.
    const sample = await sampleRun(async (count) => {
      begun += random() * step;
      longest = Math.max(count * run, longest);
      const shown = Math.floor((begun + count * run) / step) - Math.floor(begun / step);
      begun += count * run;
      return shown * step;
    }, step);
    assert.ok(
      sample.repeats * run >= (SAMPLE_STEPS - 1) * step,
      `${sample.repeats} runs of ${run} on steps of ${step}`,
    );
    assert.ok(sample.repeats * run >= 0.9 * SAMPLE_MS);
    assert.ok(Math.abs(sample.ms / run - 1) < 0.06, `${sample.ms} for ${run}`);
    assert.ok(longest <= Math.max(run, 40 * Math.max(SAMPLE_STEPS * step, SAMPLE_MS)), `${longest} ms`);
  }
});

test("one run that an interruption made long does not count", async () => {
  let calls = 0;
  const { ms } = await sampleRun(async (count) => 0.01 * count + (calls++ === 0 ? 6 : 0), 1e-6);
  assert.ok(ms < 0.02, `${ms}`);
});

test("a clock that fails or does not advance is reported", async () => {
  const clocks: readonly (() => Promise<number | null>)[] = [async () => null, async () => 0];
  for (const clock of clocks) {
    const failed = await sampleRun(clock, 0.1).catch((error: unknown) => error);
    assert.instance(failed, ClockFailure);
  }
});

test.run();
