/** Linear layers whose sums over K are split among workgroups, and merged by a second kernel. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inOrder } from "../../src/kernels/kernel.ts";
import {
  type LinearShape,
  linearKernels,
  linearTaps,
  MOST_PARTIAL_BYTES,
  mostSplitRows,
  splitCounts,
  splitLinear,
} from "../../src/kernels/linear/linear.ts";
import { myTurns } from "../support/turns.ts";
import { worst } from "./inputs.ts";
import { assertSameRows, type Case, cases, label, shapeOf } from "./linear-cases.ts";
import { linearProblem, linearReference, runLinear } from "./linear-problem.ts";

/** What the last part of eight reaches beyond K, and parts that end with it. */
const more: readonly Case[] = [
  { K: 264, N: 37, dtype: "f32", bias: true, epilogue: { kind: "residual" } },
  { K: 128, N: 70, dtype: "q8", bias: true, epilogue: { kind: "residual" } },
];

for (const [i, c] of myTurns([...[...cases, ...more].entries()])) {
  test(`${label(c)}: two halves compute what float64 does, in the same bits for any rows`, async () => {
    const plain = shapeOf(c);
    const tapped = shapeOf(c, linearTaps(c.epilogue.kind));
    const problem = linearProblem(plain, 45, 300 + i);
    const expected = linearReference(problem);
    const parts = splitCounts[i % splitCounts.length] ?? 2;
    const base = await runLinear(splitLinear(tapped, parts), problem);
    for (const [name, values] of expected) {
      const off = worst(base.get(name) ?? [], values);
      assert.ok(off < 1e-5, `${parts} parts: ${name} is off by ${off}`);
    }
    const rows = i % 2 === 0 ? 6 : 33;
    assertSameRows(await runLinear(splitLinear(plain, parts), problem, { rows }), base, problem, rows);
  });
}

test("a matrix cut at the binding limit gives the bits of the whole", async () => {
  const whole = shapeOf(cases[2] as Case);
  const problem = linearProblem(whole, 9, 330);
  const expected = await runLinear(splitLinear(whole, 4), problem);
  const first = { ...whole, strips: 5 };
  const rest = { ...whole, strips: whole.strips - 5 };
  const earlier = await runLinear(splitLinear(first, 4), { ...problem, shape: first });
  const both = await runLinear(splitLinear(rest, 4), { ...problem, shape: rest }, { firstStrip: 5, earlier });
  assertSameRows(both, expected, problem, 9);
});

const gpt2 = (K: number, N: number): LinearShape =>
  shapeOf({ K, N, dtype: "f32", bias: true, epilogue: { kind: "residual" } });
const chosen = (shape: LinearShape, rows: number, reference = false) =>
  linearKernels(shape, { family: "tiled", reference }).find(({ maxRows }) => rows <= maxRows)?.kernel;

test("sums are split where tiles are too few, in fewer parts for more rows, and never in the reference plan", () => {
  const partsFor = (shape: LinearShape, rows: number) => chosen(shape, rows)?.split && chosen(shape, rows)?.summation;
  assert.is(partsFor(gpt2(3072, 768), 64), "serial_parts8");
  assert.is(partsFor(gpt2(3072, 768), 160), "serial_parts4");
  assert.is(partsFor(gpt2(3072, 768), 320), "serial_parts2");
  assert.is(partsFor(gpt2(3072, 768), 321), undefined);
  // One row to eight go by lanes, which split already; and a part has 128 inputs at least.
  assert.is(partsFor(gpt2(3072, 768), 8), undefined);
  assert.is(partsFor(gpt2(255, 768), 32), undefined);
  assert.is(partsFor(gpt2(768, 50257), 32), undefined);
  for (const rows of [1, 8, 32, 64, 256]) {
    assert.is(chosen(gpt2(3072, 768), rows, true)?.split, undefined);
    assert.is(chosen(gpt2(3072, 768), rows, true)?.summation, "serial");
  }
});

test("partial sums stay within their buffer for every number of rows that may be split", () => {
  for (const N of [1, 37, 768, 2304, 8192, 50257]) {
    for (const { maxRows, kernel } of linearKernels(gpt2(4096, N), { family: "tiled", reference: false })) {
      assert.ok((kernel.split?.bytes(maxRows) ?? 0) <= MOST_PARTIAL_BYTES, `${N} outputs, ${maxRows} rows`);
    }
    for (const parts of splitCounts) {
      const rows = mostSplitRows(gpt2(4096, N), parts);
      const bytes = (count: number) => splitLinear(gpt2(4096, N), parts).split?.bytes(count) ?? 0;
      assert.ok(bytes(rows) <= MOST_PARTIAL_BYTES && bytes(rows + 1) > MOST_PARTIAL_BYTES);
    }
  }
});

test("the halves' costs are the layer's, the partial sums written and read, and the additions", () => {
  const shape = gpt2(3072, 768);
  const whole = linearKernels(shape, { family: "tiled", reference: true })[0]?.kernel.cost({ rows: 32, keys: 0 });
  const kernel = splitLinear(shape, 4);
  const halves = inOrder(kernel).map((each) => each.cost({ rows: 32, keys: 0 }));
  const sum = (name: "flops" | "bytes") => halves.reduce((total, cost) => total + cost[name], 0);
  assert.is(sum("flops"), (whole?.flops ?? 0) + 3 * 32 * 768);
  assert.is(sum("bytes"), (whole?.bytes ?? 0) + 2 * 4 * 32 * 768 * 4);
});

test.run();
