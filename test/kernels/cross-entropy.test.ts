import { test } from "uvu";
import * as assert from "uvu/assert";
import type { KernelFamily } from "../../src/kernels/kernel.ts";
import { crossEntropyKernels } from "../../src/kernels/sample/cross-entropy.ts";
import { testDevice } from "../support/device.ts";
import { plainStep, runKernel } from "../support/run-kernel.ts";
import { ceil4, normal, seeded } from "./inputs.ts";

const MAX_ROWS = 16;
const OFFSET = 3;

/** Logits with padding that must not count. */
function rowsOf(count: number, vocab: number, value: (row: number, id: number) => number): Float32Array {
  const stride = ceil4(vocab);
  return Float32Array.from({ length: count * stride }, (_, i) =>
    i % stride < vocab ? value(Math.floor(i / stride), i % stride) : ([1e9, Infinity, NaN][i % 3] as number),
  );
}

/** Loss of one row in float64. */
function reference(logits: Float32Array, target: number): number {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((total, v) => total + Math.exp(v - largest), 0);
  return largest - (logits[target] as number) + Math.log(sum);
}

/** Losses of rows whose targets are these, written behind OFFSET others; both families have the same bits. */
async function losses(vocab: number, logits: Float32Array | Uint32Array, targets: readonly number[]) {
  const register = await lossesWith("register", vocab, logits, targets);
  const tiled = await lossesWith("tiled", vocab, logits, targets);
  assert.equal(new Uint32Array(tiled.buffer), new Uint32Array(register.buffer), `vocabulary of ${vocab}`);
  return register;
}

async function lossesWith(
  family: KernelFamily,
  vocab: number,
  logits: Float32Array | Uint32Array,
  targets: readonly number[],
) {
  const device = await testDevice();
  const { partial, final, partialBytes } = crossEntropyKernels({ vocab, maxRows: MAX_ROWS }, { family });
  const plain = plainStep(targets.length);
  // Targets stand in reverse, so that a kernel which took its own row number would be found out.
  const step = { ...plain, outs: plain.outs.map((out, i) => ({ ...out, token_index: targets.length - 1 - i })) };
  const tokens = Uint32Array.from(targets).reverse();
  const first = await runKernel(device, partial, {
    step,
    maxRows: MAX_ROWS,
    args: {},
    buffers: { logits, tokens, partials: new Float32Array(partialBytes(targets.length) / 4) },
  });
  const second = await runKernel(device, final, {
    step,
    maxRows: MAX_ROWS,
    args: { offset: OFFSET },
    buffers: {
      partials: new Float32Array(first.get("partials") as ArrayBuffer),
      logits,
      tokens,
      losses: new Float32Array(OFFSET + targets.length + 1).fill(-77),
    },
  });
  const all = new Float32Array(second.get("losses") as ArrayBuffer).slice(0, OFFSET + targets.length + 1);
  assert.equal([...all.subarray(0, OFFSET), all[OFFSET + targets.length]], [-77, -77, -77, -77]);
  return all.slice(OFFSET, OFFSET + targets.length);
}

test("equals logsumexp less the target's logit, for any vocabulary", async () => {
  const random = seeded(1);
  for (const vocab of [1, 2, 3, 101, 602, 1025, 32003, 50257]) {
    const rows = vocab > 1e4 ? 3 : 9;
    const stride = ceil4(vocab);
    const logits = rowsOf(rows, vocab, (row) => (row + 0.5) * normal(random) - 30 * row);
    const targets = Array.from({ length: rows }, (_, i) => (i === 0 ? vocab - 1 : Math.floor(random() * vocab)));
    const actual = await losses(vocab, logits, targets);
    targets.forEach((target, row) => {
      const expected = reference(logits.subarray(row * stride, row * stride + vocab), target);
      const error = Math.abs((actual[row] as number) - expected);
      assert.ok(error <= 1e-6 + 1e-6 * expected, `vocabulary ${vocab}, row ${row}: off by ${error} of ${expected}`);
    });
  }
});

test("keeps its digits where all logits are equal, where one stands far above, and at the ends of float32", async () => {
  const vocab = 50257;
  const rows = [() => 0.1, (id: number) => (id === 5 ? 20 : -3), (id: number) => (id === 5 ? 1e30 : -1e30)];
  const logits = rowsOf(3, vocab, (row, id) => (rows[row] as (id: number) => number)(id));
  const actual = await losses(vocab, logits, [9, 5, 5]);
  [Math.log(vocab), Math.log1p((vocab - 1) * Math.exp(-23)), 0].forEach((expected, row) => {
    const error = Math.abs((actual[row] as number) - expected);
    assert.ok(error <= 2e-7 + 1e-6 * expected, `row ${row}: ${actual[row]} for ${expected}`);
  });
  const ends = rowsOf(1, 9, (_, id) => (id === 2 ? 3.4e38 : -3.4e38));
  assert.equal(await losses(9, ends, [2]), Float32Array.of(0));
});

test("a loss that is next to nothing keeps its digits", async () => {
  const vocab = 1025;
  const heights = [3, 8, 15, 25, 60];
  const logits = rowsOf(heights.length, vocab, (row, id) => (id === 7 * row ? (heights[row] as number) : Math.sin(id)));
  const targets = heights.map((_, row) => 7 * row);
  const actual = await losses(vocab, logits, targets);
  targets.forEach((target, row) => {
    const own = logits.subarray(row * ceil4(vocab), row * ceil4(vocab) + vocab);
    const level = own[target] as number;
    const rest = own.reduce((sum, value, id) => (id === target ? sum : sum + Math.exp(value - level)), 0);
    const expected = Math.log1p(rest);
    assert.ok(Math.abs((actual[row] as number) - expected) <= 1e-6 * expected, `${actual[row]} for ${expected}`);
  });
});

test("a logit that is not finite, or a target that is no token, gives NaN for its row alone", async () => {
  const random = seeded(2);
  const vocab = 603;
  const stride = ceil4(vocab);
  const logits = new Uint32Array(rowsOf(6, vocab, () => normal(random)).buffer);
  logits[0] = 0x7f800000;
  logits[stride + 602] = 0xff800000;
  logits[2 * stride + 300] = 0x7fc00000;
  const actual = await losses(vocab, logits, [1, 2, 3, 0xffffffff, vocab, 4]);
  assert.equal(Array.from(actual, Number.isNaN), [true, true, true, true, true, false]);
});

test.run();
