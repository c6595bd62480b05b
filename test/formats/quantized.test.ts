/** Quantised weights: blocks and their bounds, and strips against what the blocks say. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Checkpoint } from "../../src/formats/checkpoint.ts";
import { f16ToF32 } from "../../src/formats/half.ts";
import type { MatrixSource, RowSpan } from "../../src/formats/matrix-source.ts";
import {
  BLOCK_BYTES,
  blockCount,
  QUANT_BLOCK,
  QuantizationLoss,
  quantizeBlock,
  readBlock,
  storeBlock,
} from "../../src/formats/quantized-block.ts";
import { packQuantizedStrips, quantizedStripBytes, storedRows } from "../../src/formats/quantized-strips.ts";
import type { QuantFormat } from "../../src/model-config.ts";
import { normal, seeded } from "../kernels/inputs.ts";
import { dequantizedStrips } from "../support/quantized.ts";
import { refusal } from "./refusal.ts";

const FORMATS: readonly QuantFormat[] = ["q8", "q4"];

const block = (value: (i: number) => number): Float64Array =>
  Float64Array.from({ length: QUANT_BLOCK }, (_, i) => value(i));

test("q8 is within half a step of every weight, from subnormal scales to the largest", () => {
  const random = seeded(1);
  const codes = new Int8Array(QUANT_BLOCK);
  for (const size of [1e-9, 1e-7, 1e-5, 1e-3, 0.02, 1, 300, 8e6]) {
    const values = block(() => Math.fround(size * (2 * random() - 1)));
    const scale = f16ToF32(quantizeBlock("q8", values, codes, "w"));
    values.forEach((value, i) => {
      const off = Math.abs(value - (codes[i] as number) * scale);
      assert.ok(off <= (scale / 2) * (1 + 1e-12), `${value} is off by ${off} at scale ${scale}`);
    });
    if (size > 1e-2) assert.ok(scale * 127 <= Math.max(...values.map(Math.abs)) * 1.001);
  }
});

test("q4 is never further off than with the largest weight at -8, and about 8 % on normal weights", () => {
  const random = seeded(2);
  const codes = new Int8Array(QUANT_BLOCK);
  const error = new QuantizationLoss();
  for (let round = 0; round < 300; round++) {
    const values = block(() => Math.fround(0.02 * normal(random)));
    const scale = f16ToF32(quantizeBlock("q4", values, codes, "w"));
    error.addBlock(values, scale, codes);
    const off = values.reduce((sum, value, i) => sum + (value - (codes[i] as number) * scale) ** 2, 0);
    const largest = values.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0);
    const step = -largest / 8;
    const plain = values.reduce(
      (sum, value) => sum + (value - step * Math.max(-8, Math.min(7, Math.round(value / step)))) ** 2,
      0,
    );
    assert.ok(off <= plain * 1.01, `${off} against ${plain}`);
    assert.ok(codes.every((code) => code >= -8 && code <= 7));
  }
  assert.ok(error.rms > 0.07 && error.rms < 0.09, `${error.rms}`);
  assert.ok(error.max < 0.2, `${error.max}`);
});

test("zeros stay zeros, and multiples of a scale stay what they are", () => {
  const codes = new Int8Array(QUANT_BLOCK);
  for (const format of FORMATS) {
    assert.is(
      quantizeBlock(
        format,
        block(() => 0),
        codes,
        "w",
      ),
      0,
    );
    assert.equal([...codes], Array(QUANT_BLOCK).fill(0));
    const most = format === "q8" ? 127 : -8;
    const values = block((i) => (i === 5 ? most * 0.25 : ((i % 15) - 7) * 0.25));
    const error = new QuantizationLoss();
    error.addBlock(values, f16ToF32(quantizeBlock(format, values, codes, "w")), codes);
    assert.is(error.rms, 0);
  }
});

test("weights that have no scale are refused", async () => {
  const codes = new Int8Array(QUANT_BLOCK);
  for (const format of FORMATS) {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, 1e9]) {
      const values = block((i) => (i === 31 ? bad : 1));
      await refusal("bad_weights", () => quantizeBlock(format, values, codes, "h.0.w"), "h.0.w", `${bad}`);
    }
  }
});

test("stored blocks read back", () => {
  const random = seeded(3);
  for (const format of FORMATS) {
    const codes = new Int8Array(QUANT_BLOCK);
    const scale = quantizeBlock(
      format,
      block(() => normal(random)),
      codes,
      "w",
    );
    const bytes = new Uint8Array(BLOCK_BYTES[format] + 3);
    storeBlock(format, scale, codes, bytes, 3);
    const back = new Int8Array(QUANT_BLOCK);
    assert.is(readBlock(format, bytes, 3, back), scale);
    assert.equal(back, codes);
  }
});

/** A checkpoint of one float32 tensor `[rows, columns]`. */
function checkpointOf(name: string, values: Float32Array, shape: readonly number[]): Checkpoint {
  const bytes = new Uint8Array(values.buffer);
  return {
    tensors: new Map([[name, { name, dtype: "F32", shape, byteLength: bytes.length }]]),
    read: async (_, begin, end) => bytes.slice(begin, end),
    close: async () => undefined,
  };
}

async function collect(chunks: AsyncGenerator<{ readonly offset: number; readonly bytes: Uint8Array } | Uint8Array>) {
  const parts: number[] = [];
  for await (const chunk of chunks) {
    if (!(chunk instanceof Uint8Array)) assert.is(chunk.offset, parts.length);
    parts.push(...(chunk instanceof Uint8Array ? chunk : chunk.bytes));
  }
  return Uint8Array.from(parts);
}

const span = (
  transposed: boolean,
  outputs: number,
  first: number,
  count: number,
  order?: readonly number[],
): RowSpan => ({
  tensor: "w",
  transposed,
  tensorOutputs: outputs,
  first,
  count,
  ...(order && { order }),
});

test("strips hold what their rows quantise to, reordered, in turns and padded, whatever the size of the chunks", async () => {
  const random = seeded(4);
  const [outputs, k] = [22, 71];
  const dense = Float32Array.from({ length: outputs * k }, () => normal(random));
  const turned = Float32Array.from(
    { length: outputs * k },
    (_, i) => dense[(i % outputs) * k + Math.floor(i / outputs)] as number,
  );
  const codes = new Int8Array(QUANT_BLOCK);
  for (const format of FORMATS) {
    const row = (n: number): number[] =>
      Array.from({ length: blockCount(k) * QUANT_BLOCK }, (_, i) => i).flatMap((at) => {
        if (at % QUANT_BLOCK !== 0) return [];
        const values = block((i) => (at + i < k ? (dense[n * k + at + i] as number) : 0));
        const scale = f16ToF32(quantizeBlock(format, values, codes, "w"));
        return [...codes].map((code) => Math.fround(code * scale));
      });
    for (const transposed of [false, true]) {
      const stored = checkpointOf("w", transposed ? turned : dense, transposed ? [k, outputs] : [outputs, k]);
      const whole: MatrixSource = { label: "w", k, rows: [span(transposed, outputs, 0, outputs)] };
      const rows = await collect(storedRows(stored, whole, outputs, format, {}));
      assert.is(rows.length, outputs * blockCount(k) * BLOCK_BYTES[format]);
      const inBlocks: Checkpoint = {
        tensors: new Map([
          [
            "w",
            { name: "w", dtype: "U8", shape: [outputs, blockCount(k), BLOCK_BYTES[format]], byteLength: rows.length },
          ],
        ]),
        read: async (_, begin, end) => rows.slice(begin, end),
        close: async () => undefined,
      };
      const sources: readonly { readonly source: MatrixSource; readonly order: readonly (number | null)[] }[] = [
        { source: whole, order: Array.from({ length: 24 }, (_, n) => (n < outputs ? n : null)) },
        {
          source: { label: "w", k, rows: [span(transposed, outputs, 2, 4, [1, 0]), span(transposed, outputs, 20, 2)] },
          order: [3, 2, 5, 4, 20, 21, null, null],
        },
        {
          source: {
            label: "w",
            k,
            rows: [span(transposed, outputs, 0, 6), span(transposed, outputs, 10, 6)],
            inTurns: true,
          },
          order: [0, 1, 2, 3, 10, 11, 12, 13, 4, 5, null, null, 14, 15, null, null],
        },
      ];
      for (const { source, order } of sources) {
        const strips = order.length / 4;
        for (const maxChunkBytes of [1, 3000, 1 << 20]) {
          const packed = await collect(
            packQuantizedStrips(stored, source, format, { firstStrip: 0, strips, maxChunkBytes }),
          );
          assert.is(packed.length, strips * quantizedStripBytes(k, format));
          const values = dequantizedStrips(packed, order.length, k, format);
          order.forEach((n, output) => {
            const actual = [...values.subarray(output * k, (output + 1) * k)];
            assert.equal(actual, n === null ? Array(k).fill(0) : row(n).slice(0, k), `output ${output}`);
          });
          const again = await collect(
            packQuantizedStrips(inBlocks, source, format, { firstStrip: 0, strips, maxChunkBytes }),
          );
          assert.equal(again, packed);
          const part = await collect(
            packQuantizedStrips(inBlocks, source, format, { firstStrip: 1, strips: strips - 1, maxChunkBytes }),
          );
          assert.equal(part, packed.slice(quantizedStripBytes(k, format)));
        }
      }
    }
  }
});

test("q8 stays within 0.28 and q4 within 0.15 of float32 from 64 inputs on", () => {
  for (const k of [64, 96, 768, 2048, 11_008]) {
    assert.ok(quantizedStripBytes(k, "q8") / (k * 16) < 0.28);
    assert.ok(quantizedStripBytes(k, "q4") / (k * 16) < 0.15);
  }
});

test.run();
