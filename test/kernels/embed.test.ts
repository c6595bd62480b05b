import { test } from "uvu";
import * as assert from "uvu/assert";
import { bf16ToF32, f16ToF32 } from "../../src/formats/half.ts";
import { type EmbedShape, embedKernel } from "../../src/kernels/embed.ts";
import { isQuantised, type WeightDtype } from "../../src/kernels/weight-dtype.ts";
import { testDevice } from "../support/device.ts";
import { blockFormats, type TestedBlockFormat } from "../support/quantized.ts";
import { plainStep, runKernel } from "../support/run-kernel.ts";
import { ceil4, packedMatrix, rowOf, seeded, strips } from "./inputs.ts";

const UNTOUCHED = -77;

/** A random table: its values, and a part of its rows (from a multiple of 4) as the kernel wants them. */
function randomTable(random: () => number, dtype: WeightDtype, rows: number, width: number) {
  if (isQuantised(dtype)) {
    const drawn = Float32Array.from({ length: rows * width }, () => random() * 2 - 1);
    const values = packedMatrix(drawn, rows, width, dtype).dense;
    const part = (first: number, count: number): Uint32Array =>
      packedMatrix(drawn.slice(first * width, (first + count) * width), count, width, dtype).packed;
    return { values, part };
  }
  const words = dtype === "f32" ? new Uint32Array(rows * width) : new Uint16Array(rows * width);
  const values = new Float32Array(rows * width);
  for (let i = 0; i < words.length; i++) {
    if (dtype === "f32") {
      values[i] = random() * 2 - 1;
      words[i] = new Uint32Array(values.buffer)[i] as number;
    } else {
      // Any finite f16, subnormals too; bfloat16 away from float32's subnormals, which devices may flush.
      const bits = Math.floor(random() * 0x10000) & (dtype === "f16" ? 0xbfff : 0xbdff);
      words[i] = dtype === "f16" ? bits : bits | 0x0080;
      values[i] = dtype === "f16" ? f16ToF32(words[i] as number) : bf16ToF32(words[i] as number);
    }
  }
  const part = (first: number, count: number): Uint32Array => {
    const length = ceil4(count) * ceil4(width);
    const slice = words.subarray(first * width, (first + count) * width);
    return words instanceof Uint32Array
      ? strips(slice as Uint32Array, count, width, new Uint32Array(length))
      : strips(slice as Uint16Array, count, width, new Uint16Array(length));
  };
  return { values, part };
}

async function check(shape: EmbedShape, positions: number, ids: readonly number[], parts: readonly number[]) {
  const { width, vocab } = shape;
  const stride = ceil4(width);
  const random = seeded(width + vocab);
  const wte = randomTable(random, shape.wte, vocab, width);
  const wpe = shape.wpe && randomTable(random, shape.wpe, positions, width);
  const first = positions - ids.length;
  const step = plainStep(ids.length, first);
  let output = new Float32Array((ids.length + 1) * stride).fill(UNTOUCHED);
  let capture = new Float32Array(output.length).fill(UNTOUCHED);
  for (const [i, firstRow] of parts.entries()) {
    const count = (parts[i + 1] ?? vocab) - firstRow;
    const result = await runKernel(await testDevice(), embedKernel(shape), {
      step,
      maxRows: shape.maxRows,
      args: { first_row: firstRow, row_count: count, tap_embed: stride / 4, tap_resid_pre: 0xffffffff },
      buffers: {
        tokens: Uint32Array.from(ids),
        wte: wte.part(firstRow, count),
        ...(wpe ? { wpe: wpe.part(0, positions) } : {}),
        output,
        capture,
      },
    });
    output = new Float32Array(result.get("output") as ArrayBuffer);
    if (shape.taps) capture = new Float32Array(result.get("capture") as ArrayBuffer);
  }
  ids.forEach((id, row) => {
    const expected = Float32Array.from({ length: stride }, (_, k) => {
      if (k >= width || id >= vocab) return 0;
      const token = wte.values[id * width + k] as number;
      return wpe ? token + (wpe.values[(first + row) * width + k] as number) : token;
    });
    assert.equal(
      rowOf(output.buffer as ArrayBuffer, row, stride),
      expected,
      `row ${row} of ${embedKernel(shape).name}`,
    );
    if (shape.taps?.includes("embed")) {
      assert.equal(rowOf(capture.buffer as ArrayBuffer, row + 1, stride), expected, `captured row ${row}`);
    }
  });
  assert.ok(
    output.subarray(ids.length * stride).every((v) => v === UNTOUCHED),
    "rows past the step are not written",
  );
}

const dtypes: readonly WeightDtype[] = ["f32", "f16", "bf16"];

test("embeds exactly for every pair of table dtypes and odd widths", async () => {
  for (const [i, wte] of dtypes.entries()) {
    for (const [j, wpe] of [undefined, ...dtypes].entries()) {
      const shape = { width: [5, 30, 260, 4][(i + j) % 4] as number, vocab: 11 + i, wte, maxRows: 8 };
      await check(wpe ? { ...shape, wpe } : shape, 9, [3, 0, 10, 7, 7], [0]);
    }
  }
});

test("embeds exactly from quantised tables", async () => {
  for (const wte of ["q8", "q4"] as const) {
    for (const width of [5, 64, 100, 130]) {
      await check({ width, vocab: 23, wte, wpe: "f16", maxRows: 8 }, 16, [22, 0, 7, 8, 15, 16, 9], [0, 8, 16]);
    }
  }
});

test("embeds exactly from tables in every block format", async () => {
  for (const wte of Object.keys(blockFormats) as TestedBlockFormat[]) {
    await check({ width: 192, vocab: 23, wte, maxRows: 8 }, 16, [22, 0, 7, 8, 15, 16, 9], [0, 8, 16]);
  }
});

test("gathers from a table split into parts, each row from the part that holds it", async () => {
  await check({ width: 12, vocab: 23, wte: "f16", wpe: "f16", maxRows: 8 }, 16, [22, 0, 7, 8, 15, 16], [0, 8, 16]);
});

test("an id outside the vocabulary gives zeros, from the first part alone", async () => {
  const ids = [0xffffffff, 4, 9, 0x80000000];
  await check({ width: 8, vocab: 9, wte: "f32", wpe: "f32", maxRows: 4 }, 4, ids, [0, 4, 8]);
});

test("captures embed, and a region that is not wanted is left alone", async () => {
  const shape: EmbedShape = { width: 10, vocab: 7, wte: "bf16", wpe: "f16", maxRows: 4, taps: ["embed", "resid_pre"] };
  await check(shape, 5, [6, 1, 0xffffffff], [0]);
});

test.run();
