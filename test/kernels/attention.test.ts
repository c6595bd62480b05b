/** Every attention kernel against plain loops in float64. */
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type AttentionShape, attentionKernels } from "../../src/kernels/attention/attention.ts";
import type { Kernel, KernelFamily } from "../../src/kernels/kernel.ts";
import {
  type Chunk,
  ceil4,
  expectedZ,
  type Problem,
  type ProblemOptions,
  problem,
  SPARE_ROWS,
  UNTOUCHED,
} from "../support/attention-problem.ts";
import { testDevice } from "../support/device.ts";
import { runKernel } from "../support/run-kernel.ts";
import { myTurns } from "../support/turns.ts";

const FAMILIES: readonly KernelFamily[] = ["register", "tiled"];

/** Float32 sums of about unit terms, weights and exp; scores of size s are off by some s · 1e-7 besides. */
const TOLERANCE = 2e-6;

/** A prompt, the continuation of another, and decode rows; sequences in no order, and some more than once. */
const MIXED: readonly Chunk[] = [
  { sequence: 2, first: 0, count: 10 },
  { sequence: 0, first: 37, count: 6 },
  { sequence: 3, first: 70, count: 1 },
  { sequence: 1, first: 12, count: 1 },
  { sequence: 3, first: 69, count: 1 },
  { sequence: 2, first: 10, count: 2 },
];

function kernelsOf(shape: AttentionShape, families = FAMILIES): readonly Kernel[] {
  const all = families.flatMap((family) => attentionKernels(shape, { family, reference: false }));
  return [...new Map(all.map(({ kernel }) => [kernel.name, kernel])).values()];
}

async function run(
  kernel: Kernel,
  given: Problem,
  more: Record<string, Float32Array> = {},
  args = {},
): Promise<Map<string, Float32Array>> {
  const { step, buffers, shape } = given;
  const result = await runKernel(await testDevice(), kernel, {
    step,
    maxRows: shape.maxRows,
    args: { ...given.args, ...args },
    buffers: { ...buffers, ...more },
  });
  return new Map([...result].map(([name, bytes]) => [name, new Float32Array(bytes)]));
}

function assertZ(kernel: Kernel, given: Problem, z: Float32Array | undefined, tolerance = TOLERANCE): void {
  const expected = expectedZ(given);
  const width = ceil4(given.shape.heads * given.shape.head_dim);
  if (!z) throw new Error(`${kernel.name} has no output z`);
  expected.forEach((value, i) => {
    const off = Math.abs((z[i] as number) - value);
    if (!(off <= tolerance)) {
      assert.unreachable(`${kernel.name}: row ${Math.floor(i / width)}, output ${i % width} is ${z[i]}, not ${value}`);
    }
  });
  const beyond = z.subarray(expected.length, expected.length + SPARE_ROWS * width);
  assert.ok(
    beyond.every((value) => value === UNTOUCHED),
    `${kernel.name} writes no row beyond the step's`,
  );
}

const CASES: Readonly<Record<string, Omit<ProblemOptions, "chunks">>> = {
  "a head of its own each": { heads: 3, kv_heads: 3, head_dim: 64 },
  "groups of three, a window": { heads: 6, kv_heads: 2, head_dim: 20, window: 5 },
  "five heads on one": { heads: 5, kv_heads: 1, head_dim: 80 },
  "the widest heads, a window": { heads: 2, kv_heads: 1, head_dim: 256, window: 40 },
  "a width that is not a multiple of four": { heads: 4, kv_heads: 2, head_dim: 3, window: 20 },
  "heads of one dimension": { heads: 7, kv_heads: 7, head_dim: 1 },
};

for (const [title, shape] of myTurns(Object.entries(CASES))) {
  test(`${title}: mixed rows of several sequences`, async () => {
    const given = problem({ ...shape, chunks: MIXED });
    for (const kernel of kernelsOf(given.shape)) assertZ(kernel, given, (await run(kernel, given)).get("z"));
  });
}

test("random shapes and chunks on the register family", async () => {
  const chunk = fc.record({ sequence: fc.nat(2), first: fc.nat(33), count: fc.integer({ min: 1, max: 11 }) });
  const shapes = fc.record({
    kv_heads: fc.integer({ min: 1, max: 3 }),
    group: fc.integer({ min: 1, max: 4 }),
    head_dim: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.constantFrom(36, 68, 96, 128, 132)),
    window: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 40 })),
    chunks: fc.array(chunk, { minLength: 1, maxLength: 4 }),
    seed: fc.nat(1000),
  });
  await fc.assert(
    fc.asyncProperty(shapes, async ({ group, kv_heads, ...rest }) => {
      const given = problem({ heads: kv_heads * group, kv_heads, ...rest });
      for (const kernel of kernelsOf(given.shape, ["register"]))
        assertZ(kernel, given, (await run(kernel, given)).get("z"));
    }),
    { numRuns: myTurns([...Array(8).keys()]).length, endOnFailure: true },
  );
});

test("8,192 keys: flat, peaked, and all scores at +400 or −400", async () => {
  const last = 8191;
  const given = problem({
    heads: 2,
    kv_heads: 1,
    head_dim: 8,
    chunks: [0, 1, 2, 3].map((sequence) => ({ sequence, first: last, count: 1 })),
    gain: (sequence) => [1e-3, 300, 1, 1][sequence] as number,
    plateau: (sequence) => [0, 0, 400, -400][sequence] as number,
  });
  const tolerance = 5e-5; // float32 carries a score of 400 to 3e-5
  for (const kernel of myTurns(kernelsOf(given.shape))) {
    assertZ(kernel, given, (await run(kernel, given)).get("z"), tolerance);
  }
});

test("a tap stores z where it was told to, and nothing when it was told not to", async () => {
  for (const head_dim of myTurns([12, 3])) {
    const given = problem({
      heads: 3,
      kv_heads: 3,
      head_dim,
      taps: ["z"],
      chunks: [{ sequence: 0, first: 2, count: 5 }],
    });
    const count = given.step.rows.length * ceil4(3 * head_dim);
    const offset = 2;
    for (const kernel of kernelsOf(given.shape)) {
      const capture = new Float32Array(4 * offset + count + 4).fill(UNTOUCHED);
      const on = await run(kernel, given, { capture }, { tap_z: offset });
      assertZ(kernel, given, on.get("z"));
      const stored = on.get("capture");
      assert.equal(stored?.slice(4 * offset, 4 * offset + count), on.get("z")?.slice(0, count), kernel.name);
      assert.equal(stored?.slice(0, 4 * offset), capture.slice(0, 4 * offset), kernel.name);
      assert.equal(stored?.slice(4 * offset + count, capture.length), capture.slice(4 * offset + count), kernel.name);
    }
    const [kernel] = kernelsOf(given.shape);
    const capture = new Float32Array(count).fill(UNTOUCHED);
    const off = await run(kernel as Kernel, given, { capture }, { tap_z: 0xffffffff });
    assert.equal(off.get("capture")?.slice(0, count), capture);
  }
});

test("a shape gets kernels for every number of rows, within the limits of a dispatch", () => {
  for (const head_dim of [3, 64, 256]) {
    for (const kv_heads of [1, 16, 128]) {
      const shape = { heads: 128, kv_heads, head_dim, taps: [], maxRows: 4096 };
      for (const family of FAMILIES) {
        for (const reference of [false, true]) {
          const ranked = attentionKernels(shape, { family, reference });
          assert.is(ranked.at(-1)?.maxRows, 4096);
          for (const { kernel } of ranked) {
            assert.ok(
              kernel.workgroups(4096).every((count) => count >= 1 && count <= 65535),
              kernel.name,
            );
            assert.is(kernel.cost({ rows: 1, keys: 10 }).flops, 4 * 10 * 128 * head_dim);
          }
          if (reference) assert.is(new Set(ranked.map(({ kernel }) => kernel.summation)).size, 1);
        }
      }
    }
  }
  const few = attentionKernels(
    { heads: 2, kv_heads: 2, head_dim: 8, taps: [], maxRows: 4 },
    { family: "register", reference: true },
  );
  assert.is(few.length, 1);
});

test("shapes that no kernel serves are refused by name", () => {
  const shape = { heads: 4, kv_heads: 4, head_dim: 8, taps: [], maxRows: 8 };
  const choose = (change: Partial<AttentionShape>) => () =>
    attentionKernels({ ...shape, ...change }, { family: "tiled", reference: true });
  assert.throws(choose({ kv_heads: 3 }), /num_key_value_heads/);
  assert.throws(choose({ head_dim: 257 }), /257 wide/);
  assert.throws(choose({ taps: ["pattern"] }), /no site pattern/);
});

test("scores far beyond what weights make: the greatest takes all, also if every score is very negative", async () => {
  for (const head_dim of [8, 6]) {
    // A row that sees itself alone has a score of either sign.
    const chunks = [...MIXED, { sequence: 1, first: 0, count: 3 }];
    for (const size of [1e4, 1e20, 1e32, 1e36]) {
      const given = problem({ heads: 4, kv_heads: 2, head_dim, chunks, gain: () => size });
      for (const kernel of kernelsOf(given.shape)) assertZ(kernel, given, (await run(kernel, given)).get("z"));
    }
  }
});

test.run();
