import { test } from "uvu";
import * as assert from "uvu/assert";
import { narrowToBf16, narrowToF16, widenBf16, widenF16 } from "../../src/formats/half.ts";
import type { Kernel, KernelFamily } from "../../src/kernels/kernel.ts";
import {
  type LinearShape,
  lanesLinear,
  linearKernels,
  linearTaps,
  registerLinear,
  tileLinear,
} from "../../src/kernels/linear/linear.ts";
import type { ActivationName } from "../../src/model-config.ts";
import { testDevice } from "../support/device.ts";
import { blockFormats, blockMatrix, quantizedMatrix, type TestedBlockFormat } from "../support/quantized.ts";
import { runKernel } from "../support/run-kernel.ts";
import { myTurns } from "../support/turns.ts";
import { ceil4, strips, worst } from "./inputs.ts";
import { assertSameRows, type Case, cases, label, MAX_ROWS, shapeOf } from "./linear-cases.ts";
import {
  activate,
  type LinearProblem,
  type LinearResults,
  linearProblem,
  linearReference,
  NOT_CAPTURED,
  runLinear,
  UNTOUCHED,
} from "./linear-problem.ts";

const hasSubgroups = (await testDevice()).features.has("subgroups");

for (const [i, c] of myTurns([...cases.entries()])) {
  test(`${label(c)}: every kernel computes what float64 does, and class serial the same bits`, async () => {
    const plain = shapeOf(c);
    const tapped = shapeOf(c, linearTaps(c.epilogue.kind));
    const problem = linearProblem(plain, 70, 100 + i);
    const expected = linearReference(problem);

    // The one with captures is the one that float64 judges: captures change no bit of the others either.
    const base = await runLinear(registerLinear(tapped, 1), problem);
    for (const [name, values] of expected) {
      const off = worst(base.get(name) ?? [], values);
      assert.ok(off < 1e-5, `${name} is off by ${off}`);
    }
    for (const [kernel, rows] of [
      [registerLinear(plain, 1, 2), 1],
      [registerLinear(plain, 2), 5],
      [registerLinear(plain, 4), 3],
      [registerLinear(plain, 8), 17],
      [registerLinear({ ...plain, anyShape: true }, i % 2 === 0 ? 1 : 6), 16],
      [tileLinear(plain, 32), 37],
      [tileLinear(plain, 64), 70],
    ] as const) {
      assert.is(kernel.summation, "serial");
      assertSameRows(await runLinear(kernel, problem, { rows }), base, problem, rows);
    }

    // Both ways for lanes to meet, in turns; strips a group and rows change no bit of either.
    const meeting = { subgroups: hasSubgroups && i % 2 === 0 };
    const lanes = await runLinear(lanesLinear(tapped, 8, 2, meeting), { ...problem, rows: 8 }, { rows: 8 });
    for (const [name, values] of linearReference({ ...problem, rows: 8 })) {
      const off = worst(lanes.get(name) ?? [], values);
      assert.ok(off < 1e-5, `lanes: ${name} is off by ${off}`);
    }
    const few = ([1, 2, 4, 8] as const)[i % 4] ?? 1;
    const fewRows = few < 4 ? few : few - 1;
    assertSameRows(
      await runLinear(lanesLinear(plain, few, 1, meeting), { ...problem, rows: 8 }, { rows: fewRows }),
      lanes,
      { ...problem, rows: 8 },
      fewRows,
    );
  });
}

test("16-bit weights give the bits of the same weights in float32, subnormals included", async () => {
  const shape = shapeOf({ K: 50, N: 37, dtype: "f32", bias: false, epilogue: { kind: "store" } });
  const problem = linearProblem(shape, 3, 7);
  // Among the small ones are f16 subnormals (below 6.1e-5), which must not be flushed.
  const drawn = problem.dense.map((w, i) => (i % 3 === 0 ? w * 1e-4 : w));
  for (const dtype of ["f16", "bf16"] as const) {
    const half = dtype === "f16" ? narrowToF16(drawn) : narrowToBf16(drawn);
    const wide = dtype === "f16" ? widenF16(half) : widenBf16(half);
    const size = ceil4(37) * ceil4(50);
    const packed = {
      f32: strips(new Uint32Array(wide.buffer), 37, 50, new Uint32Array(size)),
      half: strips(half, 37, 50, new Uint16Array(size)),
    };
    for (const make of [(s: LinearShape) => registerLinear(s, 4), (s: LinearShape) => lanesLinear(s, 4)]) {
      const wanted = await runLinear(make(shape), { ...problem, weights: packed.f32 });
      const actual = await runLinear(make({ ...shape, dtype }), { ...problem, weights: packed.half });
      assertSameRows(actual, wanted, problem, 3);
    }
  }
});

test("quantised weights give the bits of what they stand for in float32, subnormal scales included", async () => {
  const [K, N] = [100, 37];
  const shape = shapeOf({ K, N, dtype: "f32", bias: false, epilogue: { kind: "store" } });
  const problem = linearProblem(shape, 3, 8);
  const drawn = problem.dense.map((w, i) => (Math.floor(i / 32) % 3 === 0 ? w * 1e-4 : w));
  for (const dtype of ["q8", "q4"] as const) {
    const { packed, dense } = quantizedMatrix(drawn, N, K, dtype);
    const wide = strips(new Uint32Array(dense.buffer), N, K, new Uint32Array(ceil4(N) * ceil4(K)));
    const wanted = await runLinear(registerLinear(shape, 4), { ...problem, weights: wide });
    const actual = await runLinear(registerLinear({ ...shape, dtype }, 4), { ...problem, weights: packed });
    assertSameRows(actual, wanted, problem, 3);
    // Lanes multiply a block's sum by its scale.
    const lanes = await runLinear(lanesLinear({ ...shape, dtype }, 4), { ...problem, weights: packed });
    const off = worst(lanes.get("output") ?? [], wanted.get("output") ?? []);
    assert.ok(off < 1e-5, `${dtype}: lanes are off by ${off}`);
  }
});

test("ready-made weights give the bits of what they stand for, from every block format", async () => {
  const [K, N] = [192, 37];
  const shape = shapeOf({ K, N, dtype: "f32", bias: false, epilogue: { kind: "store" } });
  const problem = linearProblem(shape, 4, 9);
  const drawn = problem.dense.map((w, i) => (Math.floor(i / 32) % 3 === 0 ? w * 1e-3 : w));
  for (const [i, dtype] of myTurns([...(Object.keys(blockFormats) as TestedBlockFormat[]).entries()])) {
    const { packed, dense } = blockMatrix(drawn, N, K, dtype);
    const wide = strips(new Uint32Array(dense.buffer), N, K, new Uint32Array(ceil4(N) * ceil4(K)));
    const wanted = await runLinear(registerLinear(shape, 4), { ...problem, weights: wide });
    const own = { ...shape, dtype };
    // Each way to read weights serves some of the formats; the linter compiles all.
    const kernels = [registerLinear(own, 4), tileLinear(own, 32), lanesLinear(own, 4), registerLinear(own, 1)];
    const kernel = kernels[i % kernels.length] as Kernel;
    const actual = await runLinear(kernel, { ...problem, weights: packed });
    if (kernel.summation === "serial") assertSameRows(actual, wanted, problem, 4);
    const off = worst(actual.get("output") ?? [], wanted.get("output") ?? []);
    assert.ok(off < 1e-5, `${kernel.name} is off by ${off}`);
  }
});

test("a matrix cut into parts gives the bits of the whole", async () => {
  for (const [i, c] of myTurns([...cases.entries()])) {
    const taps = linearTaps(c.epilogue.kind);
    const whole = shapeOf(c, taps);
    const problem = linearProblem(whole, 5, 200 + i);
    const expected = await runLinear(registerLinear(whole, 8), problem);
    const cut = c.epilogue.kind === "gated" ? 8 : 5;
    let results: LinearResults | undefined;
    for (const [firstStrip, count] of [
      [0, cut],
      [cut, whole.strips - cut],
    ] as const) {
      const shape = { ...whole, taps: [], strips: count };
      results = await runLinear(
        registerLinear(shape, 8),
        { ...problem, shape },
        { firstStrip, ...(results && { earlier: results }) },
      );
    }
    assertSameRows(results as LinearResults, expected, problem, 5);
  }
});

test("with outs, the rows are the step's out rows", async () => {
  const shape = shapeOf(cases[0] as Case);
  const problem = linearProblem(shape, 4, 11);
  const all = await runLinear(registerLinear(shape, 8), problem);
  const fewer = { ...problem, step: { rows: problem.step.rows, outs: problem.step.outs.slice(0, 2) } };
  for (const kernel of [registerLinear(shape, 8), lanesLinear(shape, 4)]) {
    const output = (await runLinear(kernel, fewer)).get("output") as Float32Array;
    const end = output.length / 2;
    assert.ok(worst(output.subarray(0, end), (all.get("output") as Float32Array).subarray(0, end)) < 1e-5);
    assert.ok(output.subarray(end).every((v) => v === UNTOUCHED));
  }
});

test("a tap that this dispatch does not capture is not written", async () => {
  const shape = shapeOf(cases[1] as Case, ["pre", "post"]);
  const problem = linearProblem(shape, 2, 12);
  const result = await runKernel(await testDevice(), registerLinear(shape, 2), {
    step: problem.step,
    maxRows: MAX_ROWS,
    args: { first_strip: 0, bias: 1, tap_pre: NOT_CAPTURED, tap_post: 1 },
    buffers: {
      weights: problem.weights,
      input: problem.input,
      params: problem.params,
      output: new Float32Array(600),
      capture: new Float32Array(1300).fill(UNTOUCHED),
    },
  });
  const capture = new Float32Array(result.get("capture") as ArrayBuffer);
  assert.equal(capture.slice(4, 604), new Float32Array(result.get("output") as ArrayBuffer));
  assert.ok(
    capture.subarray(0, 4).every((v) => v === UNTOUCHED) && capture.subarray(604).every((v) => v === UNTOUCHED),
  );
});

test("activations are right from tiny to huge arguments, and finite", async () => {
  const magnitudes = [0, 1e-6, 0.01, 0.1, 0.3, 0.7, 1, 1.5, 2, 3, 4, 5.5, 8, 12, 30, 100, 1e4, 1e15, 3e38];
  const xs = magnitudes.flatMap((x) => [Math.fround(x), -Math.fround(x)]);
  for (const activation of ["gelu_new", "gelu", "gelu_quick", "relu", "silu"] as const satisfies ActivationName[]) {
    // K = 1: one weight of 1 hands the argument through.
    const shape = shapeOf({ K: 1, N: 1, dtype: "f32", bias: false, epilogue: { kind: "activation", activation } });
    const problem: LinearProblem = {
      ...linearProblem(shape, xs.length, 1),
      weights: strips(new Uint32Array(Float32Array.of(1).buffer), 1, 1, new Uint32Array(16)),
      input: Float32Array.from(xs.flatMap((x) => [x, 0, 0, 0])),
    };
    const output = (await runLinear(registerLinear(shape, 8), problem)).get("output") as Float32Array;
    xs.forEach((x, i) => {
      const off = Math.abs((output[4 * i] as number) - activate(activation, x));
      // Where the result is about 0, a part of a huge argument would be a wrong number, not a rounding.
      const size = Math.max(1, Math.min(Math.abs(x), 100), Math.abs(activate(activation, x)));
      assert.ok(off <= 1e-6 * size, `${activation}(${x}) is off by ${off}`);
    });
  }
});

test("candidates rise to any number of rows; the reference plan is of one class", () => {
  const shape = shapeOf({ ...(cases[1] as Case), K: 768, N: 3072 });
  for (const family of ["register", "tiled"] as const satisfies KernelFamily[]) {
    for (const reference of [false, true]) {
      const candidates = linearKernels(shape, { family, reference });
      const bounds = candidates.map(({ maxRows }) => maxRows);
      assert.equal(
        bounds,
        [...new Set(bounds)].sort((a, b) => a - b),
      );
      assert.is(bounds.at(-1), Infinity);
      const classes = new Set(candidates.map(({ kernel }) => kernel.summation));
      if (reference) assert.equal([...classes], ["serial"]);
    }
  }
});

test("grids stay within 65,535 workgroups a dimension for 256k outputs and 4,096 rows", () => {
  const shape = shapeOf({ K: 64, N: 262_144, dtype: "f16", bias: false, epilogue: { kind: "store" } });
  const grids: readonly (readonly [Kernel, number])[] = [
    ...([1, 2, 4, 8] as const).map((rows) => [registerLinear(shape, rows, 1), 4096] as const),
    [tileLinear(shape, 32), 4096],
    [lanesLinear(shape, 4, 1), 4],
  ];
  for (const [kernel, rows] of grids) {
    assert.ok(kernel.workgroups(rows).every((count) => count >= 1 && count <= 65_535));
  }
});

test("cost counts the product, bias and residual, and the bytes that must move", () => {
  const epilogue = { kind: "residual" } as const;
  const shape = shapeOf({ K: 50, N: 37, dtype: "f16", bias: true, epilogue });
  const { flops, bytes } = tileLinear(shape).cost({ rows: 3, keys: 0 });
  assert.is(flops, 3 * 37 * (2 * 50 + 2));
  assert.is(bytes, 40 * 52 * 2 + 4 * (3 * 52 + 37 + 2 * 3 * 37));
});

test.run();
