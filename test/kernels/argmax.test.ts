import { test } from "uvu";
import * as assert from "uvu/assert";
import type { KernelFamily } from "../../src/kernels/kernel.ts";
import { argmaxKernels } from "../../src/kernels/sample/argmax.ts";
import { testDevice } from "../support/device.ts";
import { plainStep, runKernel } from "../support/run-kernel.ts";
import { ceil4, normal, seeded } from "./inputs.ts";

const FAILED = 0xffffffff;
const MAX_ROWS = 16;

/** Rows of logits whose padding would win, or fail the row, if it were read. */
function rowsOf(count: number, vocab: number, value: (row: number, id: number) => number): Float32Array {
  const stride = ceil4(vocab);
  return Float32Array.from({ length: count * stride }, (_, i) =>
    i % stride < vocab ? value(Math.floor(i / stride), i % stride) : ([1e9, Infinity, NaN][i % 3] as number),
  );
}

/** Runs both stages; the id of out row i is written to place 2i + 1. Returns all places, which both families agree on. */
async function choose(vocab: number, outs: number, logits: Float32Array | Uint32Array): Promise<Uint32Array> {
  const register = await chooseWith("register", vocab, outs, logits);
  assert.equal(await chooseWith("tiled", vocab, outs, logits), register, `vocabulary of ${vocab}, tiled and register`);
  return register;
}

async function chooseWith(family: KernelFamily, vocab: number, outs: number, logits: Float32Array | Uint32Array) {
  const device = await testDevice();
  const { partial, final, partialBytes } = argmaxKernels({ vocab, maxRows: MAX_ROWS }, { family });
  const plain = plainStep(outs);
  const step = { ...plain, outs: plain.outs.map((out, i) => ({ ...out, token_index: 2 * i + 1 })) };
  const first = await runKernel(device, partial, {
    step,
    maxRows: MAX_ROWS,
    args: {},
    buffers: { logits, partials: new Uint32Array(partialBytes(outs) / 4) },
  });
  const second = await runKernel(device, final, {
    step,
    maxRows: MAX_ROWS,
    args: {},
    buffers: {
      partials: new Uint32Array(first.get("partials") as ArrayBuffer),
      tokens: new Uint32Array(2 * outs + 2).fill(7777777),
    },
  });
  return new Uint32Array(second.get("tokens") as ArrayBuffer).slice(0, 2 * outs + 2);
}

/** What `choose` should return for these ids. */
const places = (ids: readonly number[]): Uint32Array =>
  Uint32Array.from([...ids.flatMap((id) => [7777777, id]), 7777777, 7777777]);

test("finds the largest logit of random rows of any vocabulary", async () => {
  const random = seeded(1);
  for (const vocab of [1, 2, 3, 4, 5, 101, 256, 1023, 8195, 32003, 50257]) {
    const outs = vocab > 1e4 ? 2 : 9;
    const stride = ceil4(vocab);
    const logits = rowsOf(outs, vocab, () => 5 * normal(random) - 20);
    const expected = Array.from({ length: outs }, (_, row) => {
      const values = logits.subarray(row * stride, row * stride + vocab);
      return values.indexOf(values.reduce((a, b) => Math.max(a, b)));
    });
    assert.equal(await choose(vocab, outs, logits), places(expected), `vocabulary of ${vocab}`);
  }
});

for (const vocab of [5003, 30011])
  test(`of equal logits of ${vocab} the smallest id wins, wherever the others stand`, async () => {
    const random = seeded(2);
    const winners = Array.from({ length: 12 }, () => {
      const ids = Array.from({ length: 5 }, () => Math.floor(random() * vocab));
      return new Set(ids);
    });
    const logits = rowsOf(12, vocab, (row, id) => (winners[row]?.has(id) ? 3.5 : 3.5 - random() - 1e-3));
    assert.equal(await choose(vocab, 12, logits), places(winners.map((ids) => Math.min(...ids))));
  });

test("rows of one value, of the lowest value, and of both zeros give id 0", async () => {
  const vocab = 1029;
  const lowest = -3.4028234663852886e38;
  const values = [() => 0, () => lowest, (id: number) => (id % 2 === 0 ? -0 : 0), () => -1e-40];
  const logits = rowsOf(4, vocab, (row, id) => (values[row] as (id: number) => number)(id));
  assert.equal(await choose(vocab, 4, logits), places([0, 0, 0, 0]));
  assert.equal(
    await choose(
      3,
      1,
      rowsOf(1, 3, () => lowest),
    ),
    places([0]),
  );
});

test("a NaN or an infinity anywhere fails its row and no other", async () => {
  const random = seeded(3);
  const vocab = 777;
  const stride = ceil4(vocab);
  const patterns = [0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001];
  const logits = new Uint32Array(rowsOf(11, vocab, () => normal(random)).buffer);
  const expected = Array.from({ length: 11 }, (_, row) => {
    if (row % 2 === 1) {
      const at = [0, vocab - 1, 400, 255, 256][(row - 1) / 2] as number;
      logits[row * stride + at] = patterns[(row - 1) / 2] as number;
      return FAILED;
    }
    const values = new Float32Array(logits.buffer, row * stride * 4, vocab);
    return values.indexOf(values.reduce((a, b) => Math.max(a, b)));
  });
  assert.equal(await choose(vocab, 11, logits), places(expected));
});

test.run();
