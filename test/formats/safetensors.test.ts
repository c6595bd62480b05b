import fc from "fast-check";
import * as safetensorsPackage from "safetensors";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { f32ToBf16, f32ToF16 } from "../../src/formats/half.ts";
import { openSource } from "../../src/formats/open-source.ts";
import {
  parseSafetensors,
  readSafetensors,
  type StoredTensor,
  storeFloat32,
  toFloat32,
  writeSafetensors,
} from "../../src/formats/safetensors.ts";
import { DTYPE_BITS } from "../../src/formats/safetensors-header.ts";
import { refusal } from "./refusal.ts";

const SafeTensor = (safetensorsPackage.SafeTensor ?? safetensorsPackage.default?.SafeTensor) as new (
  file: Uint8Array,
) => safetensorsPackage.SafeTensor;

const tensor = fc
  .record({
    dtype: fc.constantFrom("F32", "F16", "BF16", "I64", "U8", "I32", "F8_E4M3", "BOOL", "C64"),
    shape: fc.array(fc.nat({ max: 4 }), { maxLength: 4 }),
    seed: fc.nat(255),
  })
  .map(({ dtype, shape, seed }): StoredTensor => {
    const length = (shape.reduce((product, size) => product * size, 1) * (DTYPE_BITS.get(dtype) ?? 0)) / 8;
    return { dtype, shape, bytes: Uint8Array.from({ length }, (_, i) => (i * 7 + seed) % 256) };
  });
const name = fc
  .oneof(fc.string({ unit: "grapheme" }), fc.constantFrom("h.0.w", "10", "9", "__proto__", 'a"b\\', "wte.weight"))
  .filter((text) => text !== "__metadata__");
const tensors = fc.array(fc.tuple(name, tensor), { maxLength: 6 }).map((entries) => new Map(entries));

/** A file of the given header and a number of bytes of data. */
function fileOf(header: unknown, dataLength: number): Uint8Array {
  return rawFile(typeof header === "string" ? header : JSON.stringify(header), dataLength);
}

function rawFile(header: string | Uint8Array, dataLength: number, claimed?: bigint): Uint8Array {
  const bytes = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + bytes.length + dataLength);
  new DataView(file.buffer).setBigUint64(0, claimed ?? BigInt(bytes.length), true);
  file.set(bytes, 8);
  return file;
}

const f32 = (shape: readonly unknown[], begin: unknown, end: unknown) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

test("written files are read back, tensors and metadata, from a view at any offset", () => {
  fc.assert(
    fc.property(tensors, fc.dictionary(fc.string(), fc.string()), fc.nat(9), (written, metadata, shift) => {
      const file = writeSafetensors(written, metadata);
      const room = new Uint8Array(file.length + shift + 3);
      room.set(file, shift);
      const read = parseSafetensors(room.subarray(shift, shift + file.length));
      assert.equal(new Map([...read.tensors].sort()), new Map([...written].sort()));
      assert.equal(new Map([...read.metadata].sort()), new Map(Object.entries(metadata).sort()));
      for (const { bytes } of read.tensors.values()) assert.is(bytes.byteOffset, 0);
    }),
  );
});

test("the npm package reads the same bytes from what is written", () => {
  fc.assert(
    fc.property(tensors, (written) => {
      // The package keys an object by name, and so loses this one.
      written.delete("__proto__");
      const oracle = new SafeTensor(writeSafetensors(written));
      assert.is(oracle.metadata.size, written.size);
      for (const [key, { dtype, shape, bytes }] of written) {
        assert.equal(oracle.getTensor(key), bytes);
        assert.is(oracle.metadata.get(key)?.dtype, dtype);
        assert.equal(oracle.metadata.get(key)?.shape, shape);
      }
    }),
  );
});

test("the writer lays files out as the reference library does", () => {
  // The three expectations are those of its own tests.
  const data = storeFloat32(Float32Array.of(0, 1, 2, 3, 4, 5), [1, 2, 3]);
  const text = (file: Uint8Array) => new TextDecoder().decode(file.subarray(8, 8 + Number(file[0])));
  assert.is(
    text(writeSafetensors(new Map([["attn.0", data]]))),
    '{"attn.0":{"dtype":"F32","shape":[1,2,3],"data_offsets":[0,24]}}',
  );
  assert.is(
    text(writeSafetensors(new Map([["attn0", { ...data, shape: [1, 1, 2, 3] }]]))),
    '{"attn0":{"dtype":"F32","shape":[1,1,2,3],"data_offsets":[0,24]}}       ',
  );
  assert.equal([...writeSafetensors(new Map())], [8, 0, 0, 0, 0, 0, 0, 0, 123, 125, 32, 32, 32, 32, 32, 32]);
  const one = (dtype: string): StoredTensor => ({
    dtype,
    shape: [1],
    bytes: new Uint8Array((DTYPE_BITS.get(dtype) ?? 0) / 8),
  });
  const mixed = new Map([
    ["a", one("U8")],
    ["b", one("F16")],
    ["d", one("F32")],
    ["c", one("F32")],
    ["\u{1F600}", one("F32")],
    ["\uFFFD", one("F32")],
    ["e", one("I64")],
  ]);
  assert.equal(
    [...parseSafetensors(writeSafetensors(mixed)).tensors.keys()],
    ["e", "c", "d", "\uFFFD", "\u{1F600}", "b", "a"],
  );
});

test("a Node Buffer's tensors are copies, whatever its pool and offset", () => {
  const file = writeSafetensors(new Map([["x", storeFloat32(Float32Array.of(1, 2), [2])]]));
  // As Buffer does, slice() of this class gives a view.
  class Viewing extends Uint8Array {
    override slice(begin?: number, end?: number): Uint8Array<ArrayBuffer> {
      return this.subarray(begin, end) as Uint8Array<ArrayBuffer>;
    }
  }
  const room = new Viewing(file.length + 1);
  room.set(file, 1);
  const bytes = parseSafetensors(room.subarray(1)).tensors.get("x")?.bytes;
  room.fill(0);
  assert.equal([...toFloat32({ dtype: "F32", shape: [2], bytes: bytes as Uint8Array })], [1, 2]);
});

test("F32, F16 and BF16 widen to their values, from odd offsets too", () => {
  const values = [0, -1.5, 2 ** -14, 65504];
  const shift = (array: Uint16Array | Float32Array) => {
    const room = new Uint8Array(array.byteLength + 1);
    room.set(new Uint8Array(array.buffer), 1);
    return room.subarray(1);
  };
  const stored = [
    { dtype: "F32", bytes: shift(Float32Array.from(values)) },
    { dtype: "F16", bytes: shift(Uint16Array.from(values, f32ToF16)) },
  ];
  for (const { dtype, bytes } of stored) assert.equal([...toFloat32({ dtype, shape: [4], bytes })], values);
  const bytes = shift(Uint16Array.from([1.5, -0.25], f32ToBf16));
  assert.equal([...toFloat32({ dtype: "BF16", shape: [2], bytes })], [1.5, -0.25]);
});

test("integers are not taken for floats", async () => {
  const integers = { dtype: "I32", shape: [1], bytes: new Uint8Array(4) };
  await refusal("bad_weights", () => toFloat32(integers), "I32");
});

test("a tensor that does not fit its shape is not written", async () => {
  const write = (name: string, stored: StoredTensor) => () => writeSafetensors(new Map([[name, stored]]));
  await refusal("usage", write("x", { dtype: "F32", shape: [2], bytes: new Uint8Array(7) }), '"x"', "8", "7");
  await refusal("usage", write("x", { dtype: "F24", shape: [2], bytes: new Uint8Array(6) }), "F24");
  await refusal("usage", write("__metadata__", { dtype: "U8", shape: [0], bytes: new Uint8Array(0) }), "reserves");
});

test("zero elements, scalars and packed half bytes are fine", () => {
  const header = {
    none: f32([0, 5], 0, 0),
    scalar: f32([], 0, 4),
    nibbles: { dtype: "F4", shape: [3, 2], data_offsets: [4, 7] },
    __metadata__: null,
  };
  const { tensors: read } = parseSafetensors(fileOf(header, 7));
  assert.equal(
    [...read].map(([key, { bytes }]) => [key, bytes.length]),
    [
      ["none", 0],
      ["scalar", 4],
      ["nibbles", 3],
    ],
  );
});

const large = 9007199254740991;
const refused: readonly (readonly [title: string, file: Uint8Array, ...parts: string[]])[] = [
  ["an empty file", new Uint8Array(0), "it is empty"],
  ["a file of seven bytes", new Uint8Array(7), "7 bytes"],
  ["a header longer than the file", rawFile("{}", 0, 3n), "claims 3 bytes", "only 2 follow", "10 bytes"],
  ["a header longer than the format allows", rawFile("{}", 0, 100_000_001n), "100000001", "100000000"],
  ["a header length of 2^63 and more", rawFile("{}", 0, 0xffff_ffff_ffff_ffffn), "18446744073709551615"],
  ["a header of no bytes", rawFile("", 4), "begin with {"],
  ["a header that is a list", fileOf([], 0), "begin with {"],
  ["a header after a byte order mark", rawFile("\uFEFF{}", 0), "begin with {"],
  ["a header that is cut off", rawFile('{"x":', 0), "not valid JSON"],
  ["a header in another encoding", rawFile(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), 0), "UTF-8"],
  [
    "two tensors of one name",
    fileOf(
      '{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"\\u0078":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
      4,
    ),
    '"x"',
    "twice",
  ],
  [
    "a field given twice",
    fileOf('{"x":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}', 4),
    '"shape"',
    "twice",
  ],
  ["metadata that are not strings", fileOf({ __metadata__: { a: 1 } }, 0), "__metadata__"],
  ["metadata that are a string", fileOf({ __metadata__: "a" }, 0), "__metadata__"],
  ["a tensor that is no object", fileOf({ x: 5 }, 0), '"x"'],
  ["a tensor that is null", fileOf({ x: null }, 0), '"x"'],
  ["an unknown dtype", fileOf({ x: { dtype: "F33", shape: [1], data_offsets: [0, 4] } }, 4), '"x"', "F33"],
  [
    "a dtype of Object's own",
    fileOf({ x: { dtype: "constructor", shape: [1], data_offsets: [0, 4] } }, 4),
    "constructor",
  ],
  ["a missing dtype", fileOf({ x: { shape: [1], data_offsets: [0, 4] } }, 4), '"x"', "dtype nothing"],
  ["a negative length", fileOf({ x: f32([-1], 0, 4) }, 4), '"x"', "[-1]"],
  ["a fraction of a length", fileOf({ x: f32([1.5], 0, 6) }, 6), "[1.5]"],
  ["a length as text", fileOf({ x: f32(["1"], 0, 4) }, 4), '["1"]'],
  ["a length beyond counting", fileOf({ x: f32([9007199254740992], 0, 4) }, 4), "9007199254740992"],
  ["a product beyond counting", fileOf({ x: f32([large, large], 0, 4) }, 4), '"x"', "representable"],
  ["half a byte", fileOf({ x: { dtype: "F4", shape: [3], data_offsets: [0, 2] } }, 2), '"x"', "F4", "whole"],
  ["three offsets", fileOf({ x: { dtype: "F32", shape: [1], data_offsets: [0, 4, 8] } }, 8), "[0,4,8]"],
  ["negative offsets", fileOf({ x: f32([1], -4, 0) }, 4), "[-4,0]"],
  ["offsets in the wrong order", fileOf({ x: f32([1], 4, 0) }, 4), "ends at byte 0", "beginning at 4"],
  ["offsets beyond the file", fileOf({ x: f32([2], 0, 8) }, 4), '"x"', "0 to 8", "only 4 bytes"],
  ["offsets that do not fit the shape", fileOf({ x: f32([2], 0, 4) }, 4), '"x"', "needs 8 bytes", "span 4"],
  ["overlapping tensors", fileOf({ x: f32([2], 0, 8), y: f32([1], 4, 8) }, 8), '"y"', "byte 4", '"x"', "ends at 8"],
  ["two tensors in one place", fileOf({ x: f32([1], 0, 4), y: f32([1], 0, 4) }, 4), '"y"', '"x"'],
  ["a hole before the first tensor", fileOf({ x: f32([1], 4, 8) }, 8), '"x"', "byte 4", "ends at 0"],
  ["a hole between tensors", fileOf({ x: f32([1], 0, 4), y: f32([1], 8, 12) }, 12), '"y"', "byte 8", "ends at 4"],
  ["bytes after the last tensor", fileOf({ x: f32([1], 0, 4) }, 9), "5 bytes after"],
  ["bytes after no tensor", fileOf({}, 1), "1 bytes after"],
  ["a header nested deep", rawFile(`{"x":${"[".repeat(50_000)}${"]".repeat(50_000)}}`, 0), "64 levels"],
];

for (const [title, file, ...parts] of refused) {
  test(`refused: ${title}`, async () => {
    await refusal("bad_file", () => parseSafetensors(file, "some.safetensors"), "some.safetensors", ...parts);
  });
}

test("every truncation of a file is refused, and no change of one byte of the header crashes", async () => {
  const good = writeSafetensors(
    new Map([
      ["a", storeFloat32(Float32Array.of(1, 2, 3), [3])],
      ["b", { dtype: "U8", shape: [2, 1], bytes: Uint8Array.of(1, 2) }],
    ]),
    { format: "pt" },
  );
  for (let length = 0; length < good.length; length++) {
    await refusal("bad_file", () => parseSafetensors(good.subarray(0, length)));
  }
  fc.assert(
    fc.property(fc.nat(good.length - 15), fc.nat(255), (at, value) => {
      const changed = good.slice();
      changed[at] = value;
      try {
        for (const { bytes } of parseSafetensors(changed).tensors.values()) assert.ok(bytes.length <= good.length);
      } catch (error) {
        assert.is((error as { code?: string }).code, "bad_file", String(error));
      }
    }),
    { numRuns: 2000 },
  );
});

test("a hostile value is cut short in the message", async () => {
  const message = await refusal("bad_file", () =>
    parseSafetensors(fileOf({ ["n".repeat(5000)]: { dtype: "d".repeat(5000) } }, 0)),
  );
  assert.ok(message.length < 600, String(message.length));
});

test("a file that is read in parts is the file that is read whole, each tensor with memory of its own", async () => {
  const sizes = [5, 300_000, 1 << 20, 0, 700_000, (1 << 20) + 4, 9, 400_000, 1];
  const stored = new Map(
    sizes.map((length, i): [string, StoredTensor] => {
      const bytes = Uint8Array.from({ length }, (_, at) => (at * 7 + i) % 256);
      return [`t${i}`, { dtype: "U8", shape: [length], bytes }];
    }),
  );
  const file = writeSafetensors(stored, new Map([["format", "pt"]]));
  const source = await openSource([new File([file], "model.safetensors")]);
  const { tensors: read, metadata } = await readSafetensors(source, "model.safetensors", "a file", "bundle");
  await source.close();
  const whole = parseSafetensors(file, "a file", "bundle");
  assert.equal([...metadata], [...whole.metadata]);
  assert.equal([...read.keys()], [...whole.tensors.keys()]);
  for (const [name, { bytes, dtype, shape }] of whole.tensors) {
    const found = read.get(name) as StoredTensor;
    assert.equal([found.dtype, found.shape], [dtype, shape]);
    assert.ok(
      found.bytes.every((value, i) => value === bytes[i]),
      name,
    );
    assert.equal([found.bytes.byteOffset, found.bytes.buffer.byteLength], [0, bytes.length]);
  }
});

test.run();
