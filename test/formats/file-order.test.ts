import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Checkpoint } from "../../src/formats/checkpoint.ts";
import { HeldTensors, inFileOrder, needOf } from "../../src/formats/file-order.ts";
import type { MatrixSource, RowSpan } from "../../src/formats/matrix-source.ts";
import { packStrips } from "../../src/formats/strips.ts";

const INPUTS = 6;
const OUTPUTS = 40;
const BYTES = INPUTS * OUTPUTS * 4;

const span = (tensor: string, rest: Partial<RowSpan> = {}): RowSpan => {
  return { tensor, transposed: false, tensorOutputs: OUTPUTS, first: 0, count: OUTPUTS, ...rest };
};
const matrix = (label: string, rows: readonly RowSpan[], inTurns = false): MatrixSource => {
  return { label, k: INPUTS, rows, ...(inTurns && { inTurns }) };
};

/** Matrices in the order in which a plan asks for them, which is not the file's. */
const sources: readonly MatrixSource[] = [
  matrix("table", [span("table")]),
  matrix("qkv", [span("q", { order: [1, 0] }), span("k"), span("v")]),
  matrix("out", [span("o")]),
  matrix("gate and up", [span("gate"), span("up")], true),
  matrix("conv", [span("conv", { transposed: true })]),
  matrix("a half", [span("shared", { count: 20 })]),
  matrix("the other", [span("shared", { first: 20, count: 20 })]),
];
const file = ["conv", "gate", "k", "o", "nobody's", "q", "up", "shared", "v", "table"];

/** Tensors one after another in one file; tells what is read of it. */
function oneFile(onRead: (begin: number, end: number) => void): Checkpoint {
  const infos = file.map((name) => ({ name, dtype: "F32", shape: [OUTPUTS, INPUTS], byteLength: BYTES }));
  return {
    tensors: new Map(infos.map((info) => [info.name, info])),
    read: async (name, begin, end) => {
      const at = file.indexOf(name) * BYTES;
      onRead(at + begin, at + end);
      const all = Float32Array.from({ length: BYTES / 4 }, (_, i) => file.indexOf(name) * 1000 + i);
      return new Uint8Array(all.buffer).slice(begin, end);
    },
    close: async () => undefined,
  };
}

async function packed(checkpoint: Checkpoint, source: MatrixSource): Promise<readonly number[]> {
  const values: number[] = [];
  const range = { firstStrip: 0, strips: (source.rows.reduce((sum, { count }) => sum + count, 0) + 3) >> 2 };
  // Chunks far smaller than a matrix: each takes something of every tensor.
  for await (const { bytes } of packStrips(checkpoint, source, { ...range, maxChunkBytes: 300 })) {
    values.push(...new Float32Array(bytes.slice().buffer));
  }
  return values;
}

test("in the file's order nothing is read twice, and the packed bytes are the same", async () => {
  const expected = new Map<string, readonly number[]>();
  const plain = oneFile(() => undefined);
  for (const source of sources) expected.set(source.label, await packed(plain, source));

  let position = 0;
  const held = new HeldTensors(
    oneFile((begin, end) => {
      assert.ok(begin >= position, `byte ${begin} was asked for behind ${position}`);
      position = end;
    }),
  );
  const found: string[] = [];
  const things = sources.map((source) => ({ source, need: needOf(source, {}) }));
  for await (const { source } of inFileOrder(held, things, undefined)) {
    found.push(source.label);
    assert.equal(await packed(held, source), expected.get(source.label), source.label);
  }
  assert.equal(found, ["conv", "out", "gate and up", "a half", "the other", "qkv", "table"]);
});

test("what nothing needs any more is given up", async () => {
  let reads = 0;
  const held = new HeldTensors(oneFile(() => reads++));
  const things = sources.map((source) => ({ source, need: needOf(source, {}) }));
  for await (const { source } of inFileOrder(held, things, undefined)) {
    const before = reads;
    await held.read("shared", 0, 4);
    // Held for the second of two halves as for the first.
    assert.is(reads - before, source.label.includes("half") || source.label === "the other" ? 0 : 1, source.label);
  }
  const before = reads;
  for (const name of file) await held.read(name, 0, 4);
  assert.is(reads - before, file.length);
});

test("an abort ends the reading", async () => {
  const abort = new AbortController();
  const held = new HeldTensors(oneFile(() => abort.abort()));
  const things = [{ need: needOf(sources[1] as MatrixSource, {}) }];
  let code = "";
  try {
    for await (const _ of inFileOrder(held, things, abort.signal)) assert.unreachable();
  } catch (error) {
    code = (error as { code?: string }).code ?? "";
  }
  assert.is(code, "aborted");
});

test.run();
