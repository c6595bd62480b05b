import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Checkpoint } from "../../src/formats/checkpoint.ts";
import { f32ToF16 } from "../../src/formats/half.ts";
import type { MatrixSource, RowSpan } from "../../src/formats/matrix-source.ts";
import { packStrips } from "../../src/formats/strips.ts";

interface Fake {
  readonly dtype: "F32" | "F16";
  readonly shape: readonly [number, number];
}

/** A checkpoint whose element i of every tensor is i + 1, exact in F16 too. */
function fakeCheckpoint(tensors: Readonly<Record<string, Fake>>): Checkpoint {
  const bytesOf = ({ dtype, shape }: Fake): Uint8Array => {
    const values = Array.from({ length: shape[0] * shape[1] }, (_, i) => i + 1);
    return new Uint8Array(
      dtype === "F32" ? Float32Array.from(values).buffer : Uint16Array.from(values.map(f32ToF16)).buffer,
    );
  };
  return {
    tensors: new Map(
      Object.entries(tensors).map(([name, fake]) => [name, { name, ...fake, byteLength: bytesOf(fake).byteLength }]),
    ),
    read: async (name, begin, end) => bytesOf(tensors[name] as Fake).slice(begin, end),
    close: async () => undefined,
  };
}

async function packed(
  checkpoint: Checkpoint,
  source: MatrixSource,
  firstStrip: number,
  strips: number,
  maxChunkBytes: number,
) {
  const chunks: Uint8Array[] = [];
  let end = 0;
  for await (const { offset, bytes } of packStrips(checkpoint, source, { firstStrip, strips, maxChunkBytes })) {
    assert.is(offset, end);
    end += bytes.byteLength;
    chunks.push(bytes.slice());
  }
  const all = new Uint8Array(end);
  let filled = 0;
  for (const chunk of chunks) {
    all.set(chunk, filled);
    filled += chunk.byteLength;
  }
  return new Float32Array(all.buffer);
}

/** Element (n, k) of the strips layout. */
const at = (strips: Float32Array, kp: number, n: number, k: number) => strips[((n >> 2) * kp + k) * 4 + (n & 3)];

const mixed = fakeCheckpoint({ a: { dtype: "F16", shape: [6, 2] }, b: { dtype: "F32", shape: [6, 2] } });

const span = (tensor: string, first: number, count: number, order?: readonly number[]): RowSpan => {
  return { tensor, transposed: false, tensorOutputs: 6, first, count, ...(order && { order }) };
};

test("a Linear and a Conv1D tensor land in the same places, whatever the size of the chunks", async () => {
  const [n, k] = [10, 6];
  const checkpoint = fakeCheckpoint({ linear: { dtype: "F32", shape: [n, k] }, conv: { dtype: "F32", shape: [k, n] } });
  for (const transposed of [false, true]) {
    const tensor = transposed ? "conv" : "linear";
    const source: MatrixSource = {
      label: tensor,
      k,
      rows: [{ tensor, transposed, tensorOutputs: n, first: 0, count: n }],
    };
    for (const maxChunkBytes of [1, 200, 1 << 20]) {
      const strips = await packed(checkpoint, source, 0, 3, maxChunkBytes);
      assert.is(strips.length, 3 * 8 * 4);
      for (let i = 0; i < 12; i++) {
        for (let j = 0; j < 8; j++) {
          const stored = (transposed ? j * n + i : i * k + j) + 1;
          assert.is(at(strips, 8, i, j), i < n && j < k ? stored : 0);
        }
      }
    }
  }
});

test("a part holds its own strips alone", async () => {
  const source: MatrixSource = {
    label: "w",
    k: 4,
    rows: [{ tensor: "w", transposed: false, tensorOutputs: 16, first: 0, count: 16 }],
  };
  const strips = await packed(fakeCheckpoint({ w: { dtype: "F32", shape: [16, 4] } }), source, 2, 1, 64);
  assert.equal(
    [0, 1, 2, 3].map((n) => at(strips, 4, n, 0)),
    [33, 37, 41, 45],
  );
});

test("spans are reordered in groups, and mixed types become float32", async () => {
  const source: MatrixSource = {
    label: "mixed",
    k: 2,
    rows: [span("a", 2, 4, [1, 0]), span("b", 0, 3), span("a", 0, 2)],
  };
  for (const maxChunkBytes of [1, 64, 1 << 20]) {
    const strips = await packed(mixed, source, 0, 3, maxChunkBytes);
    const first = Array.from({ length: 12 }, (_, n) => at(strips, 4, n, 0));
    assert.equal(first, [7, 5, 11, 9, 1, 3, 5, 1, 3, 0, 0, 0]);
  }
});

test("spans alternate in fours, padded with zeros", async () => {
  const source: MatrixSource = { label: "turns", k: 2, rows: [span("a", 0, 6), span("b", 0, 6)], inTurns: true };
  for (const maxChunkBytes of [1, 64, 1 << 20]) {
    const strips = await packed(mixed, source, 0, 4, maxChunkBytes);
    const first = Array.from({ length: 16 }, (_, n) => at(strips, 4, n, 0));
    assert.equal(first, [1, 3, 5, 7, 1, 3, 5, 7, 9, 11, 0, 0, 9, 11, 0, 0]);
    const part = await packed(mixed, source, 1, 2, maxChunkBytes);
    assert.equal(
      Array.from({ length: 8 }, (_, n) => at(part, 4, n, 0)),
      [1, 3, 5, 7, 9, 11, 0, 0],
    );
  }
});

test.run();
