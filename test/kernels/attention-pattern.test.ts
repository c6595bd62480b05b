/** The captured softmax weights against plain loops in float64. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { patternKernel } from "../../src/kernels/attention/attention.ts";
import { type ProblemOptions, problem, weightsOf } from "../support/attention-problem.ts";
import { testDevice } from "../support/device.ts";
import { runKernel } from "../support/run-kernel.ts";

const CASES: readonly Omit<ProblemOptions, "chunks">[] = [
  { heads: 4, kv_heads: 2, head_dim: 20 },
  { heads: 3, kv_heads: 3, head_dim: 5, window: 4 },
  { heads: 2, kv_heads: 1, head_dim: 16, gain: () => 200 },
];

for (const shape of CASES) {
  const { heads, kv_heads, head_dim, window = 0 } = shape;
  test(`${heads} heads on ${kv_heads}, ${head_dim} wide, window ${window}`, async () => {
    const chunks = [
      { sequence: 1, first: 0, count: 6 },
      { sequence: 0, first: 29, count: 2 },
    ];
    const given = problem({ ...shape, chunks });
    const rows = given.step.rows.length;
    const [offset, key_stride] = [5, 33];
    const size = heads * rows * key_stride;
    const result = await runKernel(await testDevice(), patternKernel(given.shape), {
      step: given.step,
      maxRows: given.shape.maxRows,
      args: { ...given.args, offset, key_stride },
      buffers: { ...given.buffers, pattern: new Float32Array(offset + size + 4).fill(9) },
    });
    const pattern = new Float32Array(result.get("pattern") ?? new ArrayBuffer(0));
    for (let head = 0; head < heads; head++) {
      for (let row = 0; row < rows; row++) {
        const { first, weights } = weightsOf(given, row, head);
        for (let j = 0; j < key_stride; j++) {
          const expected = weights[j - first] ?? 0;
          const actual = pattern[offset + (head * rows + row) * key_stride + j] as number;
          const bound = 2e-5 * expected + 1e-9; // scores of 200 are off by 2e-5, and so is a weight, relatively
          assert.ok(
            Math.abs(actual - expected) <= bound,
            `head ${head}, row ${row}, key ${j}: ${actual}, not ${expected}`,
          );
          if (j < first || j >= first + weights.length) assert.is(actual, 0);
        }
      }
    }
    assert.ok(
      [...pattern.subarray(0, offset), ...pattern.subarray(offset + size, offset + size + 4)].every(
        (value) => value === 9,
      ),
    );
  });
}

test.run();
