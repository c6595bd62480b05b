import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  maskMix,
  maskProductBytes,
  maskProductSum,
  maskProducts,
  mixBegin,
} from "../../src/kernels/backward/edge-mask.ts";
import { testDevice } from "../support/device.ts";
import { plainStep, runKernel } from "../support/run-kernel.ts";
import { ceil4, normal, paddedRows, seeded, worst } from "./inputs.ts";

const shape = { width: 21, sources: 11, maxRows: 8 };
const D = ceil4(shape.width);
const rows = 3;
const stride = (rows * D) / 4 + 2;
const step = plainStep(rows);

/** `count` blocks of rows, `stride` vec4s apart. */
function blocks(count: number, value: (block: number, row: number, column: number) => number): Float32Array {
  const result = new Float32Array(count * stride * 4).fill(-77);
  for (let b = 0; b < count; b++)
    result.set(
      paddedRows(rows, shape.width, (row, i) => value(b, row, i)),
      b * stride * 4,
    );
  return result;
}

const at = (block: number, row: number, column: number) => block * stride * 4 + row * D + column;

test("destinations' inputs and sources' gradients are weighted sums, begun with constants, with nothing or with what is there", async () => {
  const random = seeded(21);
  const mask = Float32Array.from({ length: 9 * shape.sources }, () => random());
  const kappa = paddedRows(9, shape.width, () => normal(random));
  // Outputs × inputs, once as destinations × sources and once the other way round.
  const cases = [
    {
      outputs: 6,
      inputs: 3,
      weight: 2 * shape.sources + 4,
      weight_out: shape.sources,
      weight_in: 1,
      begin: "constant",
    },
    { outputs: 5, inputs: 2, weight: 1, weight_out: 1, weight_in: shape.sources, begin: "output" },
    { outputs: 1, inputs: 7, weight: 3, weight_out: shape.sources, weight_in: 1, begin: "zero" },
  ] as const;
  for (const { outputs, inputs, weight, weight_out, weight_in, begin } of cases) {
    const input = blocks(inputs, () => normal(random));
    const before = blocks(outputs, () => normal(random));
    const result = await runKernel(await testDevice(), maskMix(shape, outputs, inputs), {
      step,
      maxRows: shape.maxRows,
      args: {
        begin: mixBegin[begin],
        outputs,
        inputs,
        weight,
        weight_out,
        weight_in,
        constant: 2,
        stride_out: stride,
        stride_in: stride,
        texts: 1,
        mask_stride: 9 * shape.sources,
        kappa_stride: 9,
      },
      buffers: { input, mask, kappa, output: before },
    });
    const expected = before.slice();
    for (let o = 0; o < outputs; o++) {
      for (let row = 0; row < rows; row++) {
        for (let i = 0; i < shape.width; i++) {
          let sum =
            begin === "zero"
              ? 0
              : begin === "output"
                ? (before[at(o, row, i)] as number)
                : (kappa[(2 + o) * D + i] as number);
          for (let j = 0; j < inputs; j++)
            sum += (mask[weight + o * weight_out + j * weight_in] as number) * (input[at(j, row, i)] as number);
          expected[at(o, row, i)] = sum;
        }
      }
    }
    const actual = new Float32Array(result.get("output") as ArrayBuffer).subarray(0, expected.length);
    assert.ok(worst(actual, expected) < 2e-6, `${begin}: off by ${worst(actual, expected)}`);
  }
});

test("an edge's gradient is the sum over rows of ⟨dx, out − repl⟩, added to what earlier rows gave", async () => {
  const random = seeded(22);
  for (const [destinations, sources] of [
    [5, 6],
    [1, 1],
    [8, 4],
  ] as const) {
    const gradient = blocks(destinations, () => normal(random));
    const written = blocks(sources, () => normal(random));
    const replaced = paddedRows(shape.sources, shape.width, () => normal(random));
    const firstSource = 3;
    const firstDestination = 1;
    const products = await runKernel(await testDevice(), maskProducts(shape, destinations, sources), {
      step,
      maxRows: shape.maxRows,
      args: { destinations, sources, first_source: firstSource, stride_dst: stride, stride_src: stride },
      buffers: {
        gradient,
        written,
        replaced,
        output: new Float32Array(maskProductBytes(rows, destinations, sources) / 4),
      },
    });
    const before = Float32Array.from({ length: 10 * shape.sources }, () => normal(random));
    const result = await runKernel(await testDevice(), maskProductSum(shape, destinations, sources), {
      step,
      maxRows: shape.maxRows,
      args: { destinations, sources, first_destination: firstDestination, first_source: firstSource },
      buffers: { products: new Float32Array(products.get("output") as ArrayBuffer), output: before },
    });
    const expected = before.slice();
    for (let d = 0; d < destinations; d++) {
      for (let s = 0; s < sources; s++) {
        let sum = 0;
        for (let row = 0; row < rows; row++) {
          for (let i = 0; i < shape.width; i++) {
            const change = (written[at(s, row, i)] as number) - (replaced[(firstSource + s) * D + i] as number);
            sum += (gradient[at(d, row, i)] as number) * change;
          }
        }
        const place = (firstDestination + d) * shape.sources + firstSource + s;
        expected[place] = (before[place] as number) + sum;
      }
    }
    const actual = new Float32Array(result.get("output") as ArrayBuffer).subarray(0, expected.length);
    assert.ok(worst(actual, expected) < 1e-5 * Math.sqrt(rows * shape.width), `off by ${worst(actual, expected)}`);
  }
});

test.run();
