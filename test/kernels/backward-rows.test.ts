/** Norm, activation, cross-entropy and rotation: their gradients against differences of the float64 reference. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { backwardActivation } from "../../src/kernels/backward/activation.ts";
import { backwardRope } from "../../src/kernels/backward/attention.ts";
import { crossEntropyGradient } from "../../src/kernels/backward/cross-entropy.ts";
import { variantNorm } from "../../src/kernels/backward/norm.ts";
import type { ActivationName } from "../../src/model-config.ts";
import { activate, type Norm, normalize } from "../reference/rows.ts";
import { testDevice } from "../support/device.ts";
import { plainStep, runKernel } from "../support/run-kernel.ts";
import { ceil4, normal, paddedRows, rowOf, seeded, worst } from "./inputs.ts";

const MAX_ROWS = 16;

/** ∂⟨f(x), g⟩/∂x by central differences. */
function differences(
  f: (x: Float64Array) => Float64Array,
  x: Float64Array,
  g: Float64Array,
  step: number,
): Float64Array {
  const at = (i: number, shift: number): number => {
    const moved = x.slice();
    moved[i] = (moved[i] as number) + shift;
    return f(moved).reduce((sum, y, j) => sum + y * (g[j] as number), 0);
  };
  return x.map((_, i) => (at(i, step) - at(i, -step)) / (2 * step));
}

test("norms of several variants, and their gradients, also of rows that are almost or wholly zero", async () => {
  const random = seeded(11);
  const variants = 3;
  const rows = 5;
  for (const [kind, width] of [
    ["layer", 30],
    ["rms", 33],
    ["layer", 8],
  ] as const) {
    const stride = ceil4(width);
    // Variant 1 has values like what is left under a mask near 0, variant 2 begins with a row of zeros.
    const size = (row: number) => (row < rows ? 2 : row < 2 * rows ? 1e-4 : row === 2 * rows ? 0 : 1e-6);
    const input = paddedRows(variants * rows, width, (row) => size(row) * normal(random));
    const gradient = paddedRows(variants * rows, width, () => normal(random));
    const gain = paddedRows(1, width, () => 1 + 0.3 * normal(random));
    const bias = paddedRows(1, width, () => 0.2 * normal(random));
    const params = new Float32Array(4 + 2 * stride).fill(1e6);
    params.set(gain, 4);
    params.set(bias, 4 + stride);
    const norm: Norm = {
      gain: Float64Array.from(gain.subarray(0, width)),
      bias: kind === "layer" ? Float64Array.from(bias.subarray(0, width)) : undefined,
      eps: 1e-5,
    };
    for (const direction of ["forward", "gradient"] as const) {
      const kernel = variantNorm({ kind, width, maxRows: MAX_ROWS }, direction, variants);
      const result = await runKernel(await testDevice(), kernel, {
        step: plainStep(rows),
        maxRows: MAX_ROWS,
        args: { gain: 1, bias: 1 + stride / 4, stride: (rows * stride) / 4, eps: 1e-5 },
        buffers: { input, params, gradient, output: new Float32Array(variants * rows * stride).fill(-77) },
      });
      for (let row = 0; row < variants * rows; row++) {
        const x = Float64Array.from(input.subarray(row * stride, row * stride + width));
        const g = Float64Array.from(gradient.subarray(row * stride, row * stride + width));
        const through = (v: Float64Array) => normalize([v], norm)[0] as Float64Array;
        const expected = direction === "forward" ? through(x) : differences(through, x, g, 1e-5);
        const actual = rowOf(result.get("output"), row, stride);
        const scale = Math.max(1, ...expected.map(Math.abs));
        assert.ok(
          worst(actual, expected) < 1e-5 * scale,
          `${kind} ${direction} row ${row}: off by ${worst(actual, expected)}`,
        );
        assert.ok(
          actual.subarray(width).every((v) => v === 0),
          "padding",
        );
      }
    }
  }
});

test("every activation's gradient, plain and gated, far out and near zero", async () => {
  const random = seeded(12);
  const names: readonly ActivationName[] = ["gelu_new", "gelu", "gelu_quick", "relu", "silu"];
  for (const [i, activation] of names.entries()) {
    const gated = i % 2 === 0;
    const width = 45;
    const rows = 3;
    const f4 = ceil4(width) / 4;
    const pre = new Float32Array(rows * f4 * (gated ? 8 : 4));
    for (let j = 0; j < pre.length; j++) pre[j] = (j % 4 === 3 ? 3000 ** ((j % 3) - 1) : 2) * normal(random);
    const gradient = Float32Array.from({ length: rows * f4 * 4 }, () => normal(random));
    const kernel = backwardActivation({ activation, gated, width, maxRows: MAX_ROWS });
    const result = await runKernel(await testDevice(), kernel, {
      step: plainStep(rows),
      maxRows: MAX_ROWS,
      args: {},
      buffers: { pre, gradient, output: new Float32Array(pre.length).fill(-77) },
    });
    const actual = new Float32Array(result.get("output") as ArrayBuffer);
    const h = 1e-6;
    const slope = (x: number) => (activate(activation, x + h) - activate(activation, x - h)) / (2 * h);
    for (let j = 0; j < gradient.length; j++) {
      const g = gradient[j] as number;
      const at = gated ? (j >> 2) * 8 + (j & 3) : j;
      const x = pre[at] as number;
      const up = gated ? (pre[at + 4] as number) : 1;
      const expected = g * up * slope(x);
      const off = Math.abs((actual[at] as number) - expected);
      assert.ok(off < 2e-6 * Math.max(1, Math.abs(g * up)), `${activation}'(${x}): ${actual[at]} for ${expected}`);
      if (!gated) continue;
      const other = g * activate(activation, x);
      assert.ok(
        Math.abs((actual[at + 4] as number) - other) < 1e-6 * Math.max(1, Math.abs(other)),
        `${activation}(${x})`,
      );
    }
  }
});

test("softmax less the target, by weight, with zeros in the padding", async () => {
  const random = seeded(13);
  for (const vocab of [7, 257]) {
    const rows = 4;
    const stride = ceil4(vocab);
    const logits = paddedRows(rows, vocab, (row) => 10 * row + 3 * normal(random), 1e9);
    const targets = [0, vocab - 1, 3, 5];
    const weights = Float32Array.of(9, 0.25, 0, 1, 0.5);
    const probabilities = Array.from({ length: rows }, (_, row) => {
      const values = Array.from(logits.subarray(row * stride, row * stride + vocab));
      const top = Math.max(...values);
      const total = values.reduce((sum, v) => sum + Math.exp(v - top), 0);
      return values.map((v) => Math.exp(v - top) / total);
    });
    const losses = Float32Array.of(9, ...probabilities.map((p, row) => -Math.log(p[targets[row] as number] as number)));
    const plain = plainStep(rows);
    const step = { ...plain, outs: plain.outs.map((out, i) => ({ ...out, token_index: i })) };
    const result = await runKernel(await testDevice(), crossEntropyGradient({ vocab, maxRows: MAX_ROWS }), {
      step,
      maxRows: MAX_ROWS,
      args: { offset: 1 },
      buffers: {
        logits,
        losses,
        tokens: Uint32Array.from(targets),
        weights,
        output: new Float32Array(rows * stride).fill(-77),
      },
    });
    probabilities.forEach((p, row) => {
      const expected = p.map((v, n) => (weights[row + 1] as number) * (v - (n === targets[row] ? 1 : 0)));
      const actual = rowOf(result.get("output"), row, stride);
      assert.ok(worst(actual, expected) < 3e-6, `${vocab} row ${row}: off by ${worst(actual, expected)}`);
      assert.ok(
        actual.subarray(vocab).every((v) => v === 0),
        "padding",
      );
    });
  }
});

test("the target's gradient keeps its digits where the loss is next to nothing", async () => {
  const vocab = 7;
  const losses = [1e-30, 3e-9, 1e-4, 0.2499, 0.2501, 5];
  const rows = losses.length;
  const result = await runKernel(await testDevice(), crossEntropyGradient({ vocab, maxRows: MAX_ROWS }), {
    step: { ...plainStep(rows), outs: plainStep(rows).outs.map((out, i) => ({ ...out, token_index: i })) },
    maxRows: MAX_ROWS,
    args: { offset: 0 },
    buffers: {
      logits: paddedRows(rows, vocab, () => 0, 1e9),
      losses: Float32Array.from(losses),
      tokens: new Uint32Array(rows).fill(3),
      weights: new Float32Array(rows).fill(1),
      output: new Float32Array(rows * 8),
    },
  });
  losses.forEach((loss, row) => {
    const [actual, expected] = [rowOf(result.get("output"), row, 8)[3] as number, Math.expm1(-Math.fround(loss))];
    // Above, the difference of exp, which devices have to 3 units in the last place, and 1.
    const most = loss < 0.25 ? 1e-6 : 3e-6;
    assert.ok(Math.abs(actual - expected) <= most * Math.abs(expected), `${actual} for ${expected}`);
  });
});

test("the gradients of rotated queries and keys are turned back, those of values left alone", async () => {
  const random = seeded(14);
  const shape = { heads: 3, kv_heads: 1, head_dim: 6, maxRows: MAX_ROWS };
  const width = 5 * 6;
  const rows = 4;
  const first = 2;
  const gradient = paddedRows(rows, width, () => normal(random));
  const angle = (position: number, pair: number) => 0.7 * position + 0.3 * pair;
  const rope = new Float32Array(8 * 6);
  for (let p = 0; p < 8; p++)
    for (let i = 0; i < 3; i++) rope.set([Math.cos(angle(p, i)), Math.sin(angle(p, i))], p * 6 + 2 * i);
  const result = await runKernel(await testDevice(), backwardRope(shape), {
    step: plainStep(rows, first),
    maxRows: MAX_ROWS,
    args: {},
    buffers: { rope, output: gradient.slice() },
  });
  for (let row = 0; row < rows; row++) {
    const g = gradient.subarray(row * ceil4(width), row * ceil4(width) + width);
    const expected = Array.from(g, (value, n) => {
      if (n >= 24) return value;
      const a = angle(first + row, (n % 6) >> 1);
      const partner = g[n ^ 1] as number;
      return value * Math.cos(a) + (n % 2 === 0 ? partner : -partner) * Math.sin(a);
    });
    assert.ok(worst(rowOf(result.get("output"), row, ceil4(width)), expected) < 1e-6, `row ${row}`);
  }
});

test.run();
