/** Matrices that a file holds quantised: which format holds them, and that its strips hold the file's weights. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { blockStripBytes, commonFormat, isBlockFormat } from "../../src/formats/block-formats.ts";
import type { Checkpoint } from "../../src/formats/checkpoint.ts";
import { dequantized } from "../../src/formats/dequantized.ts";
import type { MatrixSource, RowSpan } from "../../src/formats/matrix-source.ts";
import type { Coding, QuantizedMatrix } from "../../src/formats/quantized-matrix.ts";
import { quantizedStripBytes } from "../../src/formats/quantized-strips.ts";
import { packReadyMade } from "../../src/formats/ready-strips.ts";
import { uniform } from "../reference/draw.ts";
import { blockValues, dequantizedStrips } from "../support/quantized.ts";

/** Numbers as GGUF's and MLX's types have them. */
const codings = {
  q4_0: { bits: 4, signed: true, group: 32, scales: "F16" },
  q5_0: { bits: 5, signed: true, group: 32, scales: "F16" },
  q8_0: { bits: 8, signed: true, group: 32, scales: "F16" },
  q4_1: { bits: 4, signed: false, group: 32, scales: "F16" },
  q5_1: { bits: 5, signed: false, group: 32, scales: "F16" },
  q4_k: { bits: 4, signed: false, group: 32, scales: "F32" },
  q5_k: { bits: 5, signed: false, group: 32, scales: "F32" },
  q6_k: { bits: 6, signed: true, group: 16, scales: "F32" },
  mlx4: { bits: 4, signed: false, group: 64, scales: "BF16" },
  mlx4_32: { bits: 4, signed: false, group: 32, scales: "BF16" },
  mlx8: { bits: 8, signed: false, group: 128, scales: "BF16" },
} as const satisfies Record<string, Coding>;

const EXPECTED: readonly (readonly [readonly (keyof typeof codings)[], string])[] = [
  [["q4_0"], "q4"],
  [["q5_0"], "q8"],
  [["q8_0", "q4_0"], "q8"],
  [["q4_1"], "a4_f16"],
  [["q5_1", "q4_1"], "a8_f16"],
  [["q4_k", "q4_k"], "a4_f32"],
  [["q5_k"], "a8_f32"],
  [["q6_k"], "s6_f32_by16"],
  [["q4_k", "q6_k"], "a8_f32_by16"],
  [["mlx4", "mlx4"], "a4_bf16_by64"],
  [["mlx4", "mlx8"], "a8_bf16_by64"],
  [["mlx4", "mlx4_32"], "a4_bf16"],
  [["mlx4", "q4_1"], "a4_f32"],
  [["q4_0", "q4_1"], "a4_f32"],
  [["q8_0", "q6_k", "mlx4"], "a8_f32_by16"],
];

test("the smallest format that holds all", () => {
  for (const [names, format] of EXPECTED) {
    assert.is(commonFormat(names.map((name) => codings[name])), format, names.join());
  }
  // A product of 8 bits and a float32 scale may round: an offset of -128 scales would not undo it.
  const wide: Coding = { bits: 8, signed: true, group: 16, scales: "F32" };
  assert.is(commonFormat([wide]), undefined);
});

const [OUTPUTS, K] = [22, 256];

/** A matrix of random codes, with scales of 11 bits as float16 and its products have. */
function drawn(coding: Coding, seed: number) {
  const next = uniform(seed);
  const count = (OUTPUTS * K) / coding.group;
  const codes = Uint8Array.from({ length: OUTPUTS * K }, () => {
    const code = Math.floor(next() * 2 ** coding.bits);
    return coding.signed ? code - 2 ** (coding.bits - 1) : code;
  });
  // A float32 scale is the product of a float16 and a few bits; the others have those of bfloat16, which both types hold.
  const scaleOf = (): number =>
    ((128 + Math.floor(next() * 128)) * (coding.scales === "F32" ? 1 + Math.floor(next() * 63) : 1)) / 4096;
  const scales = Float32Array.from({ length: count }, scaleOf);
  const offsets = coding.signed ? undefined : Float32Array.from({ length: count }, () => -scaleOf());
  const matrix: QuantizedMatrix = {
    outputs: OUTPUTS,
    inputs: K,
    coding,
    tensors: ["w"],
    format: "test",
    readRows: async (_, first, end) => ({
      codes: codes.slice(first * K, end * K),
      scales: scales.slice((first * K) / coding.group, (end * K) / coding.group),
      ...(offsets && { offsets: offsets.slice((first * K) / coding.group, (end * K) / coding.group) }),
    }),
  };
  const weights = Float32Array.from({ length: OUTPUTS * K }, (_, i) => {
    const code = codes[i] as number;
    const value = coding.signed && code > 127 ? code - 256 : code;
    const group = Math.floor(i / coding.group);
    return Math.fround(value * (scales[group] as number)) + (offsets?.[group] ?? 0);
  });
  return { matrix, weights };
}

const span = (tensor: string, first: number, count: number, order?: readonly number[]): RowSpan => ({
  tensor,
  transposed: false,
  tensorOutputs: OUTPUTS,
  first,
  count,
  ...(order && { order }),
});

test("strips hold the weights of the file, reordered, in turns and padded, whatever the size of the chunks", async () => {
  for (const [names, format] of EXPECTED) {
    const matrices = names.map((name, i) => drawn(codings[name], 100 + i));
    const label = (i: number): string => `w${i}`;
    const checkpoint: Checkpoint = {
      tensors: new Map(),
      quantized: new Map(matrices.map(({ matrix }, i) => [label(i), matrix])),
      read: () => Promise.reject(new Error("nothing is stored")),
      close: async () => undefined,
    };
    for (const inTurns of [false, true]) {
      const rows = matrices.map((_, i) => span(label(i), 2, 6 + 4 * i, [1, 0]));
      const source: MatrixSource = { label: "w", k: K, rows, inTurns };
      const longest = Math.max(...rows.map(({ count }) => count));
      const placed: (readonly [number, number] | null)[] = [];
      if (inTurns) {
        for (let at = 0; at < longest; at += 4) {
          rows.forEach(({ count }, i) => {
            for (let j = at; j < at + 4; j++) placed.push(j < count ? [i, 2 + (j ^ 1)] : null);
          });
        }
      } else {
        rows.forEach(({ count }, i) => {
          for (let j = 0; j < count; j++) placed.push([i, 2 + (j ^ 1)]);
        });
      }
      while (placed.length % 4 !== 0) placed.push(null);
      const strips = placed.length / 4;
      const stripBytes = isBlockFormat(format) ? blockStripBytes(K, format) : quantizedStripBytes(K, format as "q4");
      for (const maxChunkBytes of [1, 3000, 1 << 20]) {
        const bytes = new Uint8Array(strips * stripBytes);
        const options = { firstStrip: 0, strips, maxChunkBytes };
        for await (const chunk of packReadyMade(checkpoint, source, format as "q4", options))
          bytes.set(chunk.bytes, chunk.offset);
        const values = isBlockFormat(format)
          ? blockValues(bytes, placed.length, K, format)
          : dequantizedStrips(bytes, placed.length, K, format as "q4");
        placed.forEach((from, output) => {
          const actual = [...values.subarray(output * K, (output + 1) * K)];
          const expected = from
            ? matrices[from[0]]?.weights.subarray(from[1] * K, (from[1] + 1) * K)
            : new Float32Array(K);
          assert.equal(
            actual.map((v) => v + 0),
            [...(expected ?? [])].map((v) => v + 0),
            `${names} as ${format}: output ${output}`,
          );
        });
      }
    }
    // As floats, by ranges that begin and end within outputs.
    const view = dequantized(checkpoint);
    for (const [i, { weights }] of matrices.entries()) {
      const [begin, end] = [4 * (K + 3), 4 * (3 * K + 7)];
      const bytes = await view.read(label(i), begin, end);
      assert.equal(new Float32Array(new Uint8Array(bytes).buffer), weights.slice(begin / 4, end / 4));
    }
  }
});

test.run();
