/** Attention's gradient, tile by tile, against differences of float64 attention. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { backwardAttention } from "../../src/kernels/backward/attention.ts";
import type { ArgValues, Kernel } from "../../src/kernels/kernel.ts";
import type { StepRows } from "../../src/kernels/step.ts";
import { testDevice } from "../support/device.ts";
import { runKernel } from "../support/run-kernel.ts";
import { ceil4, normal, paddedRows, rowOf, seeded, worst } from "./inputs.ts";

interface Problem {
  readonly heads: number;
  readonly kv_heads: number;
  readonly head_dim: number;
  /** 0: none. */
  readonly window: number;
  readonly lengths: readonly number[];
  /** Rows of a chunk, which is also a tile's keys. */
  readonly chunk: number;
}

const MAX_ROWS = 8;
const SCALE = 0.4;

/** ∂⟨z, dz⟩ with respect to q, k and v. */
function expectedGradient(p: Problem, [q, k, v]: readonly Float64Array[], dz: Float32Array): number[][] {
  const objective = (): number => {
    let total = 0;
    let start = 0;
    for (const length of p.lengths) {
      for (let i = start; i < start + length; i++) {
        for (let h = 0; h < p.heads; h++)
          total += output(p, q as Float64Array, k as Float64Array, v as Float64Array, dz, i, h, start);
      }
      start += length;
    }
    return total;
  };
  return [q, k, v].map((values) =>
    Array.from(values as Float64Array, (value, i) => {
      const x = values as Float64Array;
      x[i] = value + 1e-5;
      const above = objective();
      x[i] = value - 1e-5;
      const below = objective();
      x[i] = value;
      return (above - below) / 2e-5;
    }),
  );
}

/** ⟨z, dz⟩ of one row and head. */
function output(
  p: Problem,
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  dz: Float32Array,
  i: number,
  h: number,
  start: number,
): number {
  const { heads, kv_heads, head_dim, window } = p;
  const group = Math.floor(h / (heads / kv_heads));
  const first = window === 0 ? start : Math.max(start, i - window + 1);
  const weights: number[] = [];
  const gains: number[] = [];
  for (let j = first; j <= i; j++) {
    let score = 0;
    let gain = 0;
    for (let n = 0; n < head_dim; n++) {
      score += (q[(i * heads + h) * head_dim + n] as number) * (k[(j * kv_heads + group) * head_dim + n] as number);
      gain +=
        (dz[i * ceil4(heads * head_dim) + h * head_dim + n] as number) *
        (v[(j * kv_heads + group) * head_dim + n] as number);
    }
    weights.push(Math.exp(SCALE * score));
    gains.push(gain);
  }
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.reduce((sum, w, j) => sum + (w / total) * (gains[j] as number), 0);
}

async function run(p: Problem): Promise<void> {
  const random = seeded(p.head_dim * 100 + p.window);
  const total = p.lengths.reduce((a, b) => a + b, 0);
  const [Q, KV] = [p.heads * p.head_dim, p.kv_heads * p.head_dim];
  const [q, k, v, dz] = [Q, KV, KV, Q].map((width) => paddedRows(total, width, () => normal(random))) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const dense = (rows: Float32Array, width: number) =>
    Float64Array.from(
      { length: total * width },
      (_, i) => rows[Math.floor(i / width) * ceil4(width) + (i % width)] as number,
    );
  const kernels = backwardAttention({ ...p, tile: p.chunk, maxRows: MAX_ROWS });
  const device = await testDevice();
  const rowsOf = (first: number, count: number): StepRows => {
    let start = 0;
    const rows = p.lengths.flatMap((length, sequence) => {
      const from = start;
      start += length;
      return Array.from({ length }, (_, i) => ({ token_index: 0, position: i, slot: from + i, sequence }));
    });
    return { rows: rows.slice(first, first + count), outs: [] };
  };
  const part = (rows: Float32Array, width: number, first: number, count: number) =>
    rows.slice(first * ceil4(width), (first + count) * ceil4(width));

  // z, by the float64 reference: δ needs it.
  const z = paddedRows(total, Q, () => 0);
  let begin = 0;
  for (const length of p.lengths) {
    for (let i = begin; i < begin + length; i++) {
      for (let n = 0; n < Q; n++) {
        const unit = new Float32Array(dz.length);
        unit[i * ceil4(Q) + n] = 1;
        z[i * ceil4(Q) + n] = output(
          p,
          dense(q, Q),
          dense(k, KV),
          dense(v, KV),
          unit,
          i,
          Math.floor(n / p.head_dim),
          begin,
        );
      }
    }
    begin += length;
  }

  const all = Q + 2 * KV;
  const gradient = new Float32Array(total * ceil4(all));
  const start = (
    kernel: Kernel,
    first: number,
    count: number,
    args: ArgValues,
    buffers: Record<string, Float32Array>,
    rows = count,
  ) => runKernel(device, kernel, { step: rowsOf(first, count), maxRows: MAX_ROWS, args, buffers, rows });
  const floats = (result: Map<string, ArrayBuffer>) => new Float32Array(result.get("output") as ArrayBuffer);
  for (let first = 0; first < total; first += p.chunk) {
    const count = Math.min(p.chunk, total - first);
    const own = {
      q: part(q, Q, first, count),
      z: part(z, Q, first, count),
      dz: part(dz, Q, first, count),
      keys: k,
      values: v,
    };
    const scaled = { scale: SCALE, window: p.window };
    const stats = floats(
      await start(kernels.stats, first, count, scaled, { ...own, output: new Float32Array(count * p.heads * 2) }),
    );
    for (let key = 0; key <= first; key += p.chunk) {
      const key_count = Math.min(p.chunk, total - key);
      const place = { first_key: key, key_count };
      const tile = floats(
        await start(
          kernels.weights,
          first,
          count,
          { ...scaled, ...place },
          { ...own, stats, output: new Float32Array(kernels.tileBytes(count) / 4).fill(NaN) },
        ),
      );
      const dq = floats(
        await start(
          kernels.query,
          first,
          count,
          { window: p.window, ...place, accumulate: key > 0 ? 1 : 0 },
          { tile, keys: k, output: part(gradient, all, first, count) },
        ),
      );
      gradient.set(dq.subarray(0, count * ceil4(all)), first * ceil4(all));
      const diagonal = key === first;
      const dkv = floats(
        await start(
          kernels.keyValue,
          first,
          count,
          { key_count, diagonal: diagonal ? 1 : 0, accumulate: diagonal ? 0 : 1 },
          { tile, q: own.q, dz: own.dz, output: part(gradient, all, key, key_count) },
          key_count,
        ),
      );
      gradient.set(dkv.subarray(0, key_count * ceil4(all)), key * ceil4(all));
    }
  }

  const expected = expectedGradient(p, [dense(q, Q), dense(k, KV), dense(v, KV)], dz) as [number[], number[], number[]];
  for (let row = 0; row < total; row++) {
    const want = [
      expected[0].slice(row * Q, (row + 1) * Q),
      expected[1].slice(row * KV, (row + 1) * KV),
      expected[2].slice(row * KV, (row + 1) * KV),
    ].flat();
    const actual = rowOf(gradient.buffer, row, ceil4(all));
    const scale = Math.max(1, ...want.map(Math.abs));
    assert.ok(worst(actual, want) < 1e-5 * scale, `${JSON.stringify(p)} row ${row}: off by ${worst(actual, want)}`);
    assert.ok(
      actual.subarray(all).every((value) => value === 0),
      "padding",
    );
  }
}

test("grouped heads in several chunks", () =>
  run({ heads: 4, kv_heads: 2, head_dim: 8, window: 0, lengths: [11], chunk: 4 }));

test("heads of any width, a window, and packed sequences that see nothing of each other", async () => {
  await run({ heads: 3, kv_heads: 3, head_dim: 5, window: 3, lengths: [4, 1, 5], chunk: 4 });
  await run({ heads: 2, kv_heads: 1, head_dim: 12, window: 0, lengths: [3, 4], chunk: 8 });
});

test.run();
