/** Attention over keys and values in float16, against float64 over the same numbers. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { f16ToF32, f32ToF16 } from "../../src/formats/half.ts";
import { attentionKernels, patternKernel } from "../../src/kernels/attention/attention.ts";
import type { Kernel } from "../../src/kernels/kernel.ts";
import { expectedZ, type Problem, problem, weightsOf } from "../support/attention-problem.ts";
import { testDevice } from "../support/device.ts";
import { runKernel } from "../support/run-kernel.ts";
import { sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

const TOLERANCE = 2e-6;

const CHUNKS = [
  { sequence: 1, first: 0, count: 9 },
  { sequence: 0, first: 140, count: 1 },
  { sequence: 1, first: 30, count: 3 },
];

/** A problem whose caches hold numbers of float16: as float32 for the reference, and packed. */
function halved(): { readonly wide: Problem; readonly narrow: Problem } {
  const given = problem({ heads: 6, kv_heads: 2, head_dim: 20, window: 50, chunks: CHUNKS });
  const wide: Record<string, Float32Array | Uint32Array> = { ...given.buffers };
  const narrow: Record<string, Float32Array | Uint32Array> = { ...given.buffers };
  for (const name of ["k_cache", "v_cache"]) {
    const halves = Uint16Array.from(given.buffers[name] as Float32Array, f32ToF16);
    wide[name] = Float32Array.from(halves, f16ToF32);
    narrow[name] = new Uint32Array(halves.buffer);
  }
  const shape = { ...given.shape, cache: "f16" } as const;
  return { wide: { ...given, buffers: wide }, narrow: { ...given, shape, buffers: narrow } };
}

async function run(kernel: Kernel, { step, shape, args, buffers }: Problem, output: string, more = {}) {
  const device = await testDevice();
  const result = await runKernel(device, kernel, { step, maxRows: shape.maxRows, args: { ...args, ...more }, buffers });
  return new Float32Array(result.get(output) as ArrayBuffer);
}

for (const family of ["register", "tiled"] as const) {
  inTurn(`${family} kernels attend as float64 does`, async () => {
    const { wide, narrow } = halved();
    const expected = expectedZ(wide);
    for (const { kernel } of attentionKernels(narrow.shape, { family, reference: false })) {
      assert.match(kernel.name, /_f16cache/);
      const z = await run(kernel, narrow, "z");
      const off = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (z[i] as number))), 0);
      assert.ok(off <= TOLERANCE, `${kernel.name} is off by ${off}`);
    }
  });
}

test("the pattern's weights are those of float64", async () => {
  const { wide, narrow } = halved();
  const stride = 144;
  const rows = narrow.step.rows.length;
  const room = new Float32Array(narrow.shape.heads * rows * stride);
  const given = { ...narrow, buffers: { ...narrow.buffers, pattern: room } };
  const pattern = await run(patternKernel(narrow.shape), given, "pattern", { offset: 0, key_stride: stride });
  for (const [row, head] of [
    [0, 0],
    [9, 3],
    [12, 5],
  ] as const) {
    const { first, weights } = weightsOf(wide, row, head);
    for (const [j, weight] of weights.entries()) {
      const found = pattern[(head * rows + row) * stride + first + j] as number;
      assert.ok(
        Math.abs(found - weight) < TOLERANCE,
        `row ${row}, head ${head}, key ${first + j}: ${found}, ${weight}`,
      );
    }
  }
});

test.run();
