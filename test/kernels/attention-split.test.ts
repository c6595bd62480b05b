/** Attention split over the keys: the parts and their merge against plain loops in float64. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { attentionMerge, attentionSplit, splitBytes, splitParts } from "../../src/kernels/attention/split.ts";
import {
  ceil4,
  expectedZ,
  type Problem,
  type ProblemOptions,
  problem,
  UNTOUCHED,
} from "../support/attention-problem.ts";
import { testDevice } from "../support/device.ts";
import { runKernel } from "../support/run-kernel.ts";
import { myTurns } from "../support/turns.ts";

/** As for attention that is not split. */
const TOLERANCE = 2e-6;

async function run(
  { shape, step, args, buffers }: Problem,
  parts: number,
  capture?: { readonly tap_z: number; readonly capture: Float32Array },
): Promise<Map<string, Float32Array>> {
  const device = await testDevice();
  const { maxRows } = shape;
  // Whatever stood there before must not matter.
  const parts_of_rows = new Float32Array(splitBytes(shape, parts, step.rows.length) / 4).fill(Number.NaN);
  const split = await runKernel(device, attentionSplit(shape, parts), {
    step,
    maxRows,
    args,
    buffers: { ...buffers, parts_of_rows },
  });
  const result = await runKernel(device, attentionMerge(shape, parts), {
    step,
    maxRows,
    args: { ...args, ...(capture && { tap_z: capture.tap_z }) },
    buffers: {
      ...buffers,
      parts_of_rows: new Float32Array(split.get("parts_of_rows") as ArrayBuffer),
      ...(capture && { capture: capture.capture }),
    },
  });
  return new Map([...result].map(([name, bytes]) => [name, new Float32Array(bytes)]));
}

function assertZ(given: Problem, z: Float32Array | undefined, tolerance = TOLERANCE): void {
  const expected = expectedZ(given);
  const width = ceil4(given.shape.heads * given.shape.head_dim);
  expected.forEach((value, i) => {
    const off = Math.abs((z?.[i] ?? Number.NaN) - value);
    if (!(off <= tolerance)) {
      assert.unreachable(`row ${Math.floor(i / width)}, output ${i % width} is ${z?.[i]}, not ${value}`);
    }
  });
  assert.ok(z?.subarray(expected.length).every((value) => value === UNTOUCHED));
}

/** Rows that see from one block of keys to many, some of one sequence. */
const chunks = [
  { sequence: 0, first: 700, count: 1 },
  { sequence: 1, first: 126, count: 2 },
  { sequence: 2, first: 0, count: 1 },
];

const cases: readonly (readonly [title: string, parts: number, shape: Omit<ProblemOptions, "chunks">])[] = [
  ["a head of its own each, two parts", 2, { heads: 3, kv_heads: 3, head_dim: 64 }],
  ["groups of three, more parts than blocks", 16, { heads: 6, kv_heads: 2, head_dim: 20 }],
  ["five heads on one, a window over two blocks", 5, { heads: 5, kv_heads: 1, head_dim: 80, window: 150 }],
  ["the widest heads, a window within a block", 3, { heads: 2, kv_heads: 1, head_dim: 256, window: 9 }],
];
for (const [title, parts, shape] of myTurns(cases)) {
  test(title, async () => {
    const given = problem({ ...shape, chunks });
    assertZ(given, (await run(given, parts)).get("z"));
  });
}

test("flat, peaked, and all scores at +400 or −400", async () => {
  const given = problem({
    heads: 2,
    kv_heads: 1,
    head_dim: 8,
    chunks: [0, 1, 2, 3].map((sequence) => ({ sequence, first: 1300, count: 1 })),
    gain: (sequence) => [1e-3, 300, 1, 1][sequence] as number,
    plateau: (sequence) => [0, 0, 400, -400][sequence] as number,
  });
  assertZ(given, (await run(given, 6)).get("z"), 5e-5); // float32 carries a score of 400 to 3e-5
});

test("a tap stores z where it was told to", async () => {
  const given = problem({ heads: 3, kv_heads: 3, head_dim: 12, taps: ["z"], chunks });
  const count = given.step.rows.length * 36;
  const capture = new Float32Array(8 + count + 4).fill(UNTOUCHED);
  const on = await run(given, 4, { tap_z: 2, capture });
  const stored = on.get("capture");
  assert.equal(stored?.slice(8, 8 + count), on.get("z")?.slice(0, count));
  assert.equal(stored?.slice(0, 8), capture.slice(0, 8));
  assert.equal(stored?.slice(8 + count, capture.length), capture.slice(8 + count));
});

test("parts grow with the cache, up to a limit", () => {
  assert.equal([512, 1000, 1024, 4096, 131072].map(splitParts), [2, 4, 4, 16, 16]);
});

test.run();
