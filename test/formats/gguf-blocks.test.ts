/** Quantised blocks give the numbers that gguf-py gives: scripts/gguf/generate.py. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { dequantize } from "../../src/formats/dequantized.ts";
import { BLOCK_CODECS, unpackBlocks } from "../../src/formats/gguf/blocks.ts";
import { readJson } from "../support/files.ts";

const { types } = await readJson<{
  readonly types: Readonly<Record<string, { readonly blocks: string; readonly numbers: string }>>;
}>("test/data/gguf/blocks.json");

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

test("every type that is read has blocks to compare", () => {
  assert.equal([...BLOCK_CODECS.keys()].sort(), Object.keys(types).sort());
});

for (const [name, codec] of BLOCK_CODECS) {
  test(`${name}: bit for bit`, () => {
    const { blocks = "", numbers = "" } = types[name] ?? {};
    const rows = unpackBlocks(codec, bytesOf(blocks));
    assert.equal(
      dequantize(rows, { inputs: codec.block, coding: codec.coding }),
      new Float32Array(bytesOf(numbers).buffer),
    );
    const { bits, signed } = codec.coding;
    const codes = signed ? new Int8Array(rows.codes.buffer) : rows.codes;
    assert.ok(
      codes.every((code) => code >= (signed ? -(2 ** (bits - 1)) : 0) && code < 2 ** (signed ? bits - 1 : bits)),
    );
  });
}

test.run();
