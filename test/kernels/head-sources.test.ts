/** Outputs of single heads, from every way the output projection can be kept. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type LinearShape, type RegisterRows, registerLinear } from "../../src/kernels/linear/linear.ts";
import { type HeadSourcesShape, headSourcesKernel } from "../../src/kernels/stages/head-sources.ts";
import type { WeightDtype } from "../../src/kernels/weight-dtype.ts";
import { testDevice } from "../support/device.ts";
import { plainStep, runKernel } from "../support/run-kernel.ts";
import { ceil4, normal, packedMatrix, paddedRows, seeded, worst } from "./inputs.ts";

const UNTOUCHED = -77;

// head_dim 20 reads blocks of four inputs, 7 reads single ones; 35 and 60 inputs end within a block of 32.
for (const [i, dtype] of (["f32", "f16", "bf16", "q8", "q4"] as const satisfies WeightDtype[]).entries()) {
  for (const [heads, head_dim, width] of [
    [3, 20, 27],
    [5, 7, 44],
  ] as const) {
    test(`${dtype}, ${heads} heads of ${head_dim}: each listed head's share of the output, in its slot`, async () => {
      const random = seeded(300 + 10 * i + heads);
      const k = heads * head_dim;
      const { dense, packed } = packedMatrix(
        Float32Array.from({ length: width * k }, () => normal(random)),
        width,
        k,
        dtype,
      );
      const shape: HeadSourcesShape = {
        heads,
        head_dim,
        width,
        strips: Math.ceil(width / 4),
        dtype,
        bias: true,
        maxRows: 8,
      };
      const rows = 6;
      const z = paddedRows(rows, k, () => normal(random));
      const bias = Float32Array.from({ length: ceil4(width) + 4 }, () => normal(random));
      const listed = [
        [heads - 1, 0],
        [1, 2],
      ] as const;
      const stride = rows * ceil4(width);
      const result = await runKernel(await testDevice(), headSourcesKernel(shape, listed.length), {
        step: plainStep(rows),
        maxRows: 8,
        args: { first_strip: 0, bias: 1, heads: 1, slot_stride: stride / 4 },
        buffers: {
          weights: packed,
          z,
          params: bias,
          stages: Uint32Array.from([9, 9, 9, 9, ...listed.flatMap(([head, slot]) => [head, slot, 0, 0])]),
          sources: new Float32Array(3 * stride).fill(UNTOUCHED),
        },
      });
      const sources = new Float32Array(result.get("sources") as ArrayBuffer);
      for (const [head, slot] of listed) {
        for (let row = 0; row < rows; row++) {
          const expected = Float64Array.from({ length: width }, (_, n) => {
            let sum = 0;
            for (let at = head * head_dim; at < (head + 1) * head_dim; at++) {
              sum += (dense[n * k + at] as number) * (z[row * ceil4(k) + at] as number);
            }
            return sum + (bias[4 + n] as number) / heads;
          });
          const begin = slot * stride + row * ceil4(width);
          const off = worst(sources.subarray(begin, begin + width), expected);
          assert.ok(off < 1e-5, `head ${head}, row ${row}: off by ${off}`);
        }
      }
      assert.ok(
        sources.subarray(stride, 2 * stride).every((value) => value === UNTOUCHED),
        "a slot that no head has",
      );
    });
  }
}

// The register kernels sum heads behind their own sums; q8 keeps one scale for 32 inputs, so that its heads are as wide.
for (const [dtype, head_dim] of [
  ["f32", 20],
  ["bf16", 4],
  ["q8", 32],
  ["a8_f32_by16", 32],
] as const) {
  test(`${dtype}: the output projection sums single heads of ${head_dim} and changes no bit of its own outputs`, async () => {
    const random = seeded(500 + head_dim);
    const [heads, width, rows] = [3, 27, 11];
    const k = heads * head_dim;
    const { dense, packed } = packedMatrix(
      Float32Array.from({ length: width * k }, () => normal(random)),
      width,
      k,
      dtype,
    );
    const shape: LinearShape = {
      K: k,
      N: width,
      strips: Math.ceil(width / 4),
      dtype,
      epilogue: { kind: "residual" },
      bias: true,
      taps: [],
      maxRows: 16,
    };
    const z = paddedRows(rows, k, () => normal(random));
    const residual = paddedRows(rows, width, () => normal(random));
    const bias = Float32Array.from({ length: ceil4(width) + 4 }, () => normal(random));
    const stride = rows * ceil4(width);
    const listed = [
      [0, 1],
      [2, 0],
    ] as const;
    const args = { first_strip: 0, bias: 1, heads: 1, head_count: listed.length, slot_stride: stride / 4 };
    const run = async (kernel: ReturnType<typeof registerLinear>) =>
      runKernel(await testDevice(), kernel, {
        step: plainStep(rows),
        maxRows: 16,
        args,
        buffers: {
          weights: packed,
          input: z,
          params: bias,
          residual,
          output: new Float32Array(stride),
          stages: Uint32Array.from([9, 9, 9, 9, ...listed.flatMap(([head, slot]) => [head, slot, 0, 0])]),
          sources: new Float32Array(2 * stride).fill(UNTOUCHED),
        },
      });
    for (const each of [1, 4, 8] as const satisfies RegisterRows[]) {
      const plain = await run(registerLinear(shape, each));
      const summing = await run(
        registerLinear({ ...shape, heads: { count: heads, head_dim, bias: true, listed: listed.length } }, each),
      );
      assert.equal(summing.get("output"), plain.get("output"), `${each} rows a thread`);
      const sources = new Float32Array(summing.get("sources") as ArrayBuffer);
      for (const [head, slot] of listed) {
        for (let row = 0; row < rows; row++) {
          const expected = Float64Array.from({ length: width }, (_, n) => {
            let sum = (bias[4 + n] as number) / heads;
            for (let at = head * head_dim; at < (head + 1) * head_dim; at++) {
              sum += (dense[n * k + at] as number) * (z[row * ceil4(k) + at] as number);
            }
            return sum;
          });
          const begin = slot * stride + row * ceil4(width);
          const off = worst(sources.subarray(begin, begin + width), expected);
          assert.ok(off < 1e-5, `head ${head}, row ${row}, ${each} rows a thread: off by ${off}`);
        }
      }
    }
  });
}

test.run();
