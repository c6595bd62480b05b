import { test } from "uvu";
import * as assert from "uvu/assert";
import { type BackwardLinearShape, backwardLinear, spanTable } from "../../src/kernels/backward/linear.ts";
import type { WeightDtype } from "../../src/kernels/weight-dtype.ts";
import { testDevice } from "../support/device.ts";
import { plainStep, runKernel } from "../support/run-kernel.ts";
import { ceil4, normal, packedMatrix, paddedRows, seeded, worst } from "./inputs.ts";

const MAX_ROWS = 16;
const UNTOUCHED = -77;

interface Problem {
  readonly K: number;
  readonly N: number;
  readonly rows: number;
  readonly dtype: WeightDtype;
  readonly reads: BackwardLinearShape["reads"];
  /** Strips of the first part; default: all. */
  readonly firstPart?: number;
}

/** Runs all parts of a random matrix; returns what came out and what should have, both [variants][rows][ceil4(K)]. */
async function run({ K, N, rows, dtype, reads, firstPart }: Problem) {
  const random = seeded(K * N + rows);
  const drawn = Float32Array.from({ length: N * K }, () => normal(random) / Math.sqrt(N));
  const { dense, packed } = packedMatrix(drawn, N, K, dtype);

  const heads = reads.kind === "heads" ? reads.heads : 1;
  const variants = reads.kind === "spans" ? reads.variants : [];
  const outputs = Math.max(variants.length, 1);
  const [k4, n4, stripCount] = [ceil4(K), ceil4(N), ceil4(N) / 4];
  const gradient = paddedRows(heads * rows, N, () => normal(random));
  const gap = 4; // between variants, to be left alone
  let output = new Float32Array(outputs * (rows * k4 + gap)).fill(UNTOUCHED);
  const words = packed.length / stripCount;
  for (let first = 0; first < stripCount; first += firstPart ?? stripCount) {
    const count = Math.min(firstPart ?? stripCount, stripCount - first);
    const shape = { K, N, strips: count, dtype, maxRows: MAX_ROWS, reads };
    const given = {
      step: plainStep(rows),
      maxRows: MAX_ROWS,
      args: {
        first_strip: first,
        accumulate: first > 0 ? 1 : 0,
        grad_stride: (rows * n4) / 4,
        out_stride: (rows * k4 + gap) / 4,
        spans: spanTable(variants),
      },
      buffers: { weights: packed.slice(first * words, (first + count) * words), gradient, output },
    };
    const [compiled, read] = await Promise.all(
      [false, true].map(async (anyShape) => {
        const result = await runKernel(await testDevice(), backwardLinear({ ...shape, anyShape }, rows), given);
        return new Float32Array(result.get("output") as ArrayBuffer);
      }),
    );
    assert.equal(read, compiled, "the bits differ if the shape is read from args");
    output = compiled as Float32Array<ArrayBuffer>;
  }

  const expected = new Float32Array(outputs * (rows * k4 + gap)).fill(UNTOUCHED);
  for (let v = 0; v < outputs; v++) {
    for (let row = 0; row < rows; row++) {
      for (let k = 0; k < k4; k++) {
        const head = reads.kind === "heads" ? Math.min(Math.floor(k / reads.head_dim), heads - 1) : 0;
        let sum = 0;
        for (const [from, end] of reads.kind === "spans" ? (variants[v] ?? []) : [[0, N] as const]) {
          for (let n = from; n < end && k < K; n++) {
            sum += (gradient[(head * rows + row) * n4 + n] as number) * (dense[n * K + k] as number);
          }
        }
        expected[v * (rows * k4 + gap) + row * k4 + k] = sum;
      }
    }
  }
  return { output: output.subarray(0, expected.length), expected };
}

test("a whole matrix of any shape and type, in one part or in several", async () => {
  const all = (N: number) => ({ kind: "spans", variants: [[[0, N]]] }) as const;
  const problems: Problem[] = [
    { K: 48, N: 101, rows: 5, dtype: "f32", reads: all(101) },
    { K: 5, N: 7, rows: 1, dtype: "f16", reads: all(7) },
    { K: 130, N: 66, rows: 9, dtype: "bf16", reads: all(66), firstPart: 6 },
    { K: 130, N: 66, rows: 9, dtype: "q8", reads: all(66), firstPart: 6 },
    { K: 70, N: 41, rows: 5, dtype: "q4", reads: all(41), firstPart: 4 },
    { K: 96, N: 41, rows: 5, dtype: "a4_bf16", reads: all(41), firstPart: 4 },
    { K: 64, N: 41, rows: 3, dtype: "s6_f32_by16", reads: all(41) },
  ];
  for (const problem of problems) {
    const { output, expected } = await run(problem);
    assert.ok(worst(output, expected) < 2e-6, `${JSON.stringify(problem)}: off by ${worst(output, expected)}`);
  }
});

test("each variant of the input gets the outputs that were made from it, also where heads begin within a strip", async () => {
  const problems: Problem[] = [
    // Two query heads on one key and value group of width 6, as three destinations and as qkv groups.
    {
      K: 20,
      N: 24,
      rows: 3,
      dtype: "f32",
      reads: { kind: "spans", variants: [[[0, 6]], [[6, 12]], [[12, 18]], [[18, 24]]] },
    },
    {
      K: 17,
      N: 30,
      rows: 6,
      dtype: "bf16",
      reads: {
        kind: "spans",
        variants: [
          [
            [0, 5],
            [10, 15],
            [20, 25],
          ],
          [
            [5, 10],
            [15, 20],
            [25, 30],
          ],
        ],
      },
      firstPart: 2,
    },
    {
      K: 16,
      N: 48,
      rows: 4,
      dtype: "f32",
      reads: {
        kind: "spans",
        variants: [
          [
            [0, 8],
            [16, 24],
            [32, 40],
          ],
          [
            [8, 16],
            [24, 32],
            [40, 48],
          ],
        ],
      },
    },
  ];
  for (const problem of problems) {
    const { output, expected } = await run(problem);
    assert.ok(worst(output, expected) < 2e-6, `${JSON.stringify(problem)}: off by ${worst(output, expected)}`);
  }
});

test("each head's inputs get that head's gradient, also where four inputs are of two heads", async () => {
  const problems: Problem[] = [
    { K: 32, N: 30, rows: 5, dtype: "f16", reads: { kind: "heads", heads: 4, head_dim: 8 } },
    { K: 30, N: 21, rows: 3, dtype: "f32", reads: { kind: "heads", heads: 5, head_dim: 6 }, firstPart: 4 },
    { K: 9, N: 12, rows: 2, dtype: "f32", reads: { kind: "heads", heads: 3, head_dim: 3 } },
  ];
  for (const problem of problems) {
    const { output, expected } = await run(problem);
    assert.ok(worst(output, expected) < 2e-6, `${JSON.stringify(problem)}: off by ${worst(output, expected)}`);
  }
});

test.run();
