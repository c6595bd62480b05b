/** How much work ceilings are taken from, on imagined devices. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { MOST_THREADS, microkernels } from "../../src/profile/microkernels.ts";
import {
  bestDispatch,
  ENOUGH_MS,
  enoughRepeats,
  lengthsFor,
  READ_BYTES,
  sizesFor,
  TRIAL_FLOPS,
  TRIAL_PART,
} from "../../src/profile/sizing.ts";

/** A device as a host's clock shows it. */
interface Imagined {
  /** Bytes read in a millisecond; operations of the fastest kernel, and of one that uses few of the device's units. */
  readonly bytes: number;
  readonly flops: number;
  readonly slowFlops: number;
  /** Milliseconds of the way there and back, and between two dispatches. */
  readonly roundTrip: number;
  readonly between: number;
}

const devices: Readonly<Record<string, Imagined>> = {
  software: { bytes: 2.4e6, flops: 5e6, slowFlops: 1e6, roundTrip: 0.04, between: 0 },
  laptop: { bytes: 5e7, flops: 1.5e9, slowFlops: 1e8, roundTrip: 0.15, between: 0.005 },
  page: { bytes: 1e9, flops: 8e10, slowFlops: 2e9, roundTrip: 1.5, between: 0.004 },
  desktop: { bytes: 1e9, flops: 8e10, slowFlops: 2e9, roundTrip: 0.2, between: 0.004 },
  server: { bytes: 3.3e9, flops: 6e10, slowFlops: 1.5e9, roundTrip: 0.1, between: 0.004 },
};

/** Node looks for the end once a millisecond, after two of full attention. */
const told = (ms: number): number => (ms < 2 ? ms : 2 + Math.ceil(ms - 2));

/** What was found out of one kernel's dispatch that takes so long, and how long that took. */
async function timed(device: Imagined, dispatchMs: number, part: number) {
  const emptyMs = told(device.roundTrip);
  const lengths = lengthsFor(part, emptyMs);
  let [runs, longest, total] = [0, 0, 0];
  const run = async (repeats: number): Promise<number> => {
    const ms = told(device.roundTrip + repeats * (dispatchMs + device.between));
    runs++;
    longest = Math.max(longest, ms);
    total += ms;
    return ms - emptyMs;
  };
  return { ms: await bestDispatch(run, 4, lengths), runs, longest, total };
}

async function sizesOf(device: Imagined, bindable: number) {
  const trial = await timed(device, TRIAL_FLOPS / device.slowFlops, TRIAL_PART);
  const read = await timed(device, (READ_BYTES * TRIAL_PART) / device.bytes, TRIAL_PART);
  return sizesFor(trial.ms, (READ_BYTES * TRIAL_PART) / read.ms, bindable);
}

test("a ceiling is neither hidden by the way to the device nor longer waited for than that takes", async () => {
  for (const [name, device] of Object.entries(devices)) {
    const sizes = await sizesOf(device, 2 ** 31 - 4);
    const read = await timed(device, sizes.bytes / device.bytes, 1);
    const fma = await timed(device, sizes.flops / device.flops, 1);
    for (const [kind, share] of [
      ["read", sizes.bytes / read.ms / device.bytes],
      ["fma", sizes.flops / fma.ms / device.flops],
    ] as const) {
      assert.ok(share > 0.9 && share < 1.03, `${name}: ${kind} is told as ${share} of what it is`);
    }
    for (const each of [read, fma]) {
      assert.ok(each.longest >= ENOUGH_MS && each.longest < 100, `${name}: ${each.longest} ms`);
      assert.ok(each.total < 600, `${name}: ${each.total} ms in all`);
    }
    // One dispatch of a kernel that fills a device badly: far from what drivers take for a hang.
    assert.ok(sizes.flops / device.slowFlops < 100, `${name}: ${sizes.flops / device.slowFlops} ms`);
  }
});

test("a slow device does once what it did before; a fast one reads more than its caches hold", async () => {
  const { software, laptop, desktop, server } = devices as Readonly<Record<keyof typeof devices, Imagined>>;
  for (const device of [software, laptop] as Imagined[]) {
    const { bytes, buffers, wide } = await sizesOf(device, 2 ** 31);
    assert.equal({ bytes, buffers, wide }, { bytes: READ_BYTES, buffers: 1, wide: false });
  }
  const sizes = await sizesOf(software as Imagined, 2 ** 31);
  // A warm-up and four runs of one dispatch.
  assert.is((await timed(software as Imagined, sizes.bytes / (software as Imagined).bytes, 1)).runs, 5);
  for (const device of [desktop, server] as Imagined[]) {
    for (const [bindable, bytes, buffers] of [
      [128 << 20, 1, 8],
      [256 << 20, 2, 4],
      [2 ** 31 - 4, 8, 1],
    ] as const) {
      const found = await sizesOf(device, bindable);
      assert.equal([found.bytes, found.buffers, found.wide], [bytes * READ_BYTES, buffers, true], `${bindable}`);
    }
  }
});

test("repeats grow without leaps, and end", () => {
  const lengths = lengthsFor(1, 0.1);
  assert.is(enoughRepeats(1, ENOUGH_MS, lengths), 1);
  assert.is(enoughRepeats(1, 6, lengths), 4);
  // What was subtracted may have been more than there was.
  assert.is(enoughRepeats(1, -1, lengths), 16);
  assert.is(enoughRepeats(4096, 0, lengths), 4096);
  // A host that tells late needs longer runs.
  assert.ok(lengthsFor(TRIAL_PART, 5).least >= 20);
});

test("a clock that does not advance ends, and gives no infinite rate", async () => {
  let runs = 0;
  const ms = await bestDispatch(
    async () => {
      runs++;
      return 0;
    },
    2,
    lengthsFor(1, 0),
  );
  assert.ok(ms > 0 && runs < 10, `${ms} ms, ${runs} runs`);
});

test("what a read kernel amounts to is what its threads read", () => {
  for (const wide of [false, true]) {
    for (const bytes of [READ_BYTES * TRIAL_PART, READ_BYTES, 8 * READ_BYTES]) {
      const all = microkernels(1e7, bytes, wide);
      assert.equal(
        all.map(({ kernel, threads }) => `${kernel.name} ${threads}`),
        microkernels(1e9, READ_BYTES, wide).map(({ kernel, threads }) => `${kernel.name} ${threads}`),
      );
      for (const { ceiling, kernel, threads, args, amount } of all) {
        assert.ok(threads <= MOST_THREADS);
        if (ceiling !== "read") continue;
        const elements = args.elements as number;
        assert.ok(Number.isInteger(elements));
        const accumulators = Number(kernel.name.split("_").at(-1));
        // As shaders/ceilings/read.wgsl counts.
        const each = Math.floor(elements / threads);
        let read = 0;
        for (let i = 0; i + accumulators <= each; i += accumulators) read += accumulators;
        assert.is(amount, read * threads * (bytes / elements), `${kernel.name}, ${threads} threads`);
        if (!wide && bytes === READ_BYTES) assert.is(amount, bytes);
      }
    }
  }
});

test.run();
