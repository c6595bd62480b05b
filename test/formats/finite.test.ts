/** Weights that are not finite are refused by the names of their tensors, wherever the number lies and however it is stored. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openModel } from "../../src/architectures/open-model.ts";
import type { Checkpoint, StoredDtype, TensorInfo } from "../../src/formats/checkpoint.ts";
import { dequantized } from "../../src/formats/dequantized.ts";
import { holdsNonFinite, withFiniteScales } from "../../src/formats/finite.ts";
import { widen } from "../../src/formats/half.ts";
import type { MatrixSource, RowSpan } from "../../src/formats/matrix-source.ts";
import { mlxCheckpoint } from "../../src/formats/mlx.ts";
import { openSource } from "../../src/formats/open-source.ts";
import type { Coding } from "../../src/formats/quantized-matrix.ts";
import { packQuantizedStrips } from "../../src/formats/quantized-strips.ts";
import { packStrips } from "../../src/formats/strips.ts";
import { location } from "../support/files.ts";
import { refusal } from "./refusal.ts";

const DTYPES: readonly StoredDtype[] = ["F32", "F16", "BF16"];

test("one pass over packed floats finds what a loop over the numbers finds", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...DTYPES),
      fc.uint8Array({ minLength: 32, maxLength: 256 }),
      // Exponents of ones, and those beside them.
      fc.array(fc.tuple(fc.nat(), fc.constantFrom(0x7f, 0xff, 0x7c, 0xfc, 0x7b, 0x80)), { maxLength: 2 }),
      (dtype, drawn, odd) => {
        const bytes = new Uint8Array(drawn.length - (drawn.length % 32)).map((_, i) => (drawn[i] as number) & 0xbf);
        for (const [at, byte] of odd) bytes[(at % (bytes.length / 2)) * 2 + 1] = byte;
        const values = widen(dtype, bytes);
        assert.is(holdsNonFinite(bytes, dtype), !values.every(Number.isFinite), `${dtype} ${values}`);
      },
    ),
  );
});

/** A checkpoint of tensors in memory. */
function holding(tensors: Readonly<Record<string, Omit<TensorInfo, "name" | "byteLength"> & { bytes: Uint8Array }>>) {
  return {
    tensors: new Map(
      Object.entries(tensors).map(([name, { bytes, ...info }]) => [
        name,
        { ...info, name, byteLength: bytes.byteLength },
      ]),
    ),
    read: async (name, begin, end) => (tensors[name] as { bytes: Uint8Array }).bytes.slice(begin, end),
    close: async () => undefined,
  } satisfies Checkpoint;
}

const drain = async (chunks: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of chunks);
};

test("floats: the tensor, where in it, which and how many", async () => {
  const [n, k] = [10, 6];
  for (const dtype of DTYPES) {
    for (const transposed of [false, true]) {
      const words = dtype === "F32" ? new Uint32Array(n * k) : new Uint16Array(n * k);
      const [nan, infinity] = { F32: [0x7fc00000, 0xff800000], F16: [0x7e00, 0xfc00], BF16: [0x7fc0, 0xff80] }[dtype];
      const good = { dtype, shape: [n, k], bytes: new Uint8Array(new Uint8Array(words.buffer)) };
      words[27] = infinity as number;
      words[44] = nan as number;
      words[45] = nan as number;
      const stored = holding({
        good,
        bad: { dtype, shape: transposed ? [k, n] : [n, k], bytes: new Uint8Array(words.buffer) },
      });
      const span = (tensor: string, turned = false): RowSpan => {
        return { tensor, transposed: turned, tensorOutputs: n, first: 0, count: n };
      };
      const source: MatrixSource = { label: "both", k, rows: [span("good"), span("bad", transposed)], inTurns: true };
      const place = transposed ? "[2,7] of [6,10]" : "[4,3] of [10,6]";
      await refusal(
        "bad_weights",
        () => drain(packStrips(stored, source, { firstStrip: 0, strips: 6, maxChunkBytes: 1 })),
        "Tensor bad holds 3 numbers that are not finite (1 -Infinity, 2 NaN)",
        `the first is -Infinity at ${place}`,
      );
      await refusal(
        "bad_weights",
        () => drain(packQuantizedStrips(stored, source, "q8", { firstStrip: 0, strips: 6 })),
        "Tensor bad holds 3",
      );
    }
  }
});

test("our own blocks: the tensor, and the weights that the scale is for", async () => {
  for (const [format, bytes] of [
    ["q8", 34],
    ["q4", 18],
  ] as const) {
    const blocks = new Uint8Array(6 * 3 * bytes);
    blocks[(4 * 3 + 2) * bytes + 1] = 0x7c;
    const stored = holding({ w: { dtype: "U8", shape: [6, 3, bytes], bytes: blocks } });
    const rows = [{ tensor: "w", transposed: false, tensorOutputs: 6, first: 0, count: 6 }];
    await refusal(
      "bad_weights",
      () => drain(packQuantizedStrips(stored, { label: "w", k: 96, rows }, format, { firstStrip: 0, strips: 2 })),
      `Tensor w, stored as ${format}, has 1 of 18 groups`,
      "the first is Infinity, of output 4, inputs 64 to 95",
    );
  }
});

test("MLX: scales and biases by their own names, and products that float32 does not hold", async () => {
  const usual = { usual: { bits: 4, group: 32 } as const, modules: new Map() };
  const checkpoint = (scale: number, bias: number) => {
    const floats = (value: number) => new Uint8Array(new Float32Array(4).fill(0.1).fill(value, 2, 3).buffer);
    return mlxCheckpoint(
      holding({
        "up.weight": { dtype: "U32", shape: [2, 8], bytes: new Uint8Array(64) },
        "up.scales": { dtype: "F32", shape: [2, 2], bytes: floats(scale) },
        "up.biases": { dtype: "F32", shape: [2, 2], bytes: floats(bias) },
      }),
      usual,
    );
  };
  const read = (scale: number, bias: number) => dequantized(checkpoint(scale, bias)).read("up.weight", 0, 512);
  await refusal("bad_weights", () => read(Number.NaN, 0), "Tensor up.scales holds 1 number", "NaN at [1,0] of [2,2]");
  await refusal("bad_weights", () => read(1, Number.NEGATIVE_INFINITY), "Tensor up.biases", "-Infinity at [1,0]");
  await refusal("bad_weights", () => read(1e38, 0), "Tensor up.weight", "MLX with 4 bits", "output 1, inputs 0 to 31");
  await read(1e37, 1e37);
});

test("a quantised matrix with several such scales says how many, and what the file calls it", async () => {
  const coding: Coding = { bits: 8, signed: true, group: 32, scales: "F16" };
  const info = { name: "up.weight", storedAs: "blk.3.ffn_up.weight", dtype: "Q8_0", shape: [3, 64], byteLength: 1 };
  const scales = Float32Array.of(1, 1, 1, Number.NaN, Number.NaN, 1);
  const matrix = withFiniteScales(
    {
      outputs: 3,
      inputs: 64,
      coding,
      tensors: ["up.weight"],
      format: "Q8_0",
      readRows: async (_, first, end) => ({
        codes: new Uint8Array((end - first) * 64),
        scales: scales.slice(first * 2, end * 2),
      }),
    },
    info,
  );
  await matrix.readRows(holding({}), 0, 1, undefined);
  await refusal(
    "bad_weights",
    () => matrix.readRows(holding({}), 1, 2, undefined),
    "blk.3.ffn_up.weight (up.weight), stored as Q8_0, has 2 of 6 groups",
    "NaN, of output 1, inputs 32 to 63",
  );
});

test("a GGUF file: its own name of the tensor", async () => {
  const files = await openSource(location("test/data/gguf/stories260K-Q8_0.gguf"));
  try {
    const { checkpoint } = await openModel(files, () => undefined);
    const [name, matrix] = [...(checkpoint.quantized ?? [])].find(([each]) => each.includes("up_proj")) ?? [];
    const damaged = { read: async (_: string, begin: number, end: number) => new Uint8Array(end - begin).fill(255) };
    await refusal(
      "bad_weights",
      async () => matrix?.readRows(damaged, 0, 1, undefined),
      `.ffn_up.weight (${name}), stored as Q8_0`,
      "NaN",
    );
  } finally {
    await files.close();
  }
});

test.run();
