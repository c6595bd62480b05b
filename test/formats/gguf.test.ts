/** GGUF files: what they hold, and that hostile ones are refused at once, whatever they claim. */
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { openFiles } from "../../src/formats/file-list.ts";
import { readGgufHeader } from "../../src/formats/gguf/header.ts";
import type { Texts } from "../../src/formats/gguf/value.ts";
import { parseGguf } from "../../src/formats/gguf/whole-file.ts";
import { GgufWriter, ggufHead, writeGguf } from "../support/gguf-writer.ts";

const head = ggufHead;

const info = (writer: GgufWriter, name: string, size: bigint | number, offset: bigint | number): GgufWriter =>
  writer.text(name).put(1, 4).put(size, 8).put(0, 4).put(offset, 8);

const refused = (bytes: Uint8Array, says: RegExp): void => {
  const began = performance.now();
  assert.throws(
    () => parseGguf(bytes, "a.gguf"),
    (error: unknown) => error instanceof SluiceError && error.code === "bad_file" && says.test(error.message),
    String(says),
  );
  assert.ok(performance.now() - began < 1000, "it takes less than a second");
};

test("every type of metadata, and tensors", () => {
  const writer = head(2, 6);
  writer.text("a").put(4, 4).put(7, 4);
  writer.text("b").put(8, 4).text("words");
  writer.text("c").put(9, 4).put(2, 4).put(3, 8).put(1, 2).put(2, 2).put(0xffff, 2);
  writer.text("d").put(9, 4).put(9, 4).put(1, 8).put(8, 4).put(2, 8).text("x").text("y");
  writer.text("__proto__").put(7, 4).put(1, 1);
  writer.text("e").put(11, 4).put(-5n, 8);
  info(info(writer, "one", 2, 0), "constructor", 1, 32).pad(32);
  writer.put(0x3f800000, 4).put(0x40000000, 4).pad(32).put(0x40400000, 4);
  const { metadata, tensors } = parseGguf(writer.done(), "a.gguf");
  assert.equal([...metadata.keys()], ["a", "b", "c", "d", "__proto__", "e"]);
  assert.equal(
    [metadata.get("a"), metadata.get("b"), metadata.get("__proto__"), metadata.get("e")],
    [7, "words", true, -5],
  );
  assert.equal(metadata.get("c"), Uint16Array.of(1, 2, 0xffff));
  assert.equal(
    Array.from(metadata.get("d") as ArrayLike<Texts>, (texts) => texts.all()),
    [["x", "y"]],
  );
  const floats = (name: string) => [...new Float32Array(tensors.get(name)?.bytes.buffer as ArrayBuffer)];
  assert.equal([floats("one"), floats("constructor")], [[1, 2], [3]]);
});

test("claims beyond the file, overlaps and repeats are refused at once", () => {
  refused(head(2n ** 63n, 0).done(), /claims to hold 9223372036854776000 tensors/);
  refused(head(0, 2n ** 64n - 1n).done(), /metadata fields/);
  refused(
    head(0, 1)
      .text("a")
      .put(9, 4)
      .put(0, 4)
      .put(2n ** 62n, 8)
      .done(),
    /numbers of a list/,
  );
  refused(
    head(0, 1)
      .text("a")
      .put(9, 4)
      .put(8, 4)
      .put(2n ** 40n, 8)
      .done(),
    /texts of a list/,
  );
  refused(
    head(0, 1)
      .put(2n ** 63n, 8)
      .put(0, 8)
      .done(),
    /ends after/,
  );
  refused(head(0, 1).text("a").put(13, 4).put(0, 8).done(), /metadata of type 13/);
  refused(head(0, 2).text("a").put(4, 4).put(1, 4).text("a").put(4, 4).put(1, 4).done(), /holds metadata "a" twice/);
  refused(head(0, 1).text("general.alignment").put(4, 4).put(0, 4).done(), /alignment 0/);
  refused(head(0, 1).text("general.alignment").put(4, 4).put(24, 4).done(), /alignment 24/);
  let nested = head(0, 1).text("a").put(9, 4);
  for (let depth = 0; depth < 6; depth++) nested = nested.put(9, 4).put(1, 8);
  refused(nested.put(0, 16).done(), /too deep/);
  refused(info(head(1, 0), "a", 2n ** 63n, 0).done(), /more than the file/);
  refused(info(head(1, 0), "a", 1, 2n ** 63n).done(), /more than the file/);
  refused(
    info(info(head(2, 0), "a", 1, 0), "a", 1, 4)
      .pad(32)
      .put(0, 8)
      .done(),
    /holds tensor "a" twice/,
  );
  const many = head(4000, 0);
  for (let i = 0; i < 4000; i++) info(many, `direction.${i}`, 8, 0);
  refused(many.pad(32).put(0, 32).done(), /in the same place/);
  refused(new GgufWriter().put(0x46554747, 4).put(0x03000000, 4).done(), /big-endian/);
  refused(head(1, 0).text("").put(1, 4).put(1, 8).put(0, 4).put(0, 8).put(0, 64).done(), /without a name/);
  refused(head(1, 0).text("a").put(5, 4).put(0, 8).done(), /of 5 axes/);
  refused(head(1, 0).text("a").put(1, 4).put(1, 8).put(4, 4).put(0, 8).done(), /ggml type 4, which is not known/);
  refused(
    head(1, 0).text("a").put(1, 4).put(33, 8).put(8, 4).put(0, 8).done(),
    /rows of 33, not of whole blocks of 32/,
  );
  refused(info(head(1, 0), "a", 1, 4).pad(32).put(0, 8).done(), /not at a multiple of 32/);
  refused(
    head(1, 0)
      .text("a")
      .put(4, 4)
      .put(2n ** 32n, 8)
      .put(2n ** 32n, 8)
      .put(2n ** 32n, 8)
      .put(2n ** 32n, 8)
      .put(0, 4)
      .put(0, 8)
      .done(),
    /more than the file/,
  );
});

test("texts that are not UTF-8 are refused, in fields, in lists and in names", () => {
  const broken: readonly (readonly number[])[] = [
    [0xff],
    [0x80],
    [0xc0, 0x80],
    [0xc3],
    [0xe0, 0x80, 0x80],
    [0xed, 0xa0, 0x80],
    [0xf4, 0x90, 0x80, 0x80],
    [0xf8, 0x88, 0x80, 0x80, 0x80],
    [0xe2, 0x82, 0x41],
  ];
  for (const bytes of broken.map((each) => Uint8Array.from(each))) {
    assert.throws(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    refused(head(0, 1).raw(bytes, true).put(0, 8).done(), /not UTF-8/);
    refused(head(0, 1).text("a").put(8, 4).raw(bytes, true).done(), /not UTF-8/);
    refused(head(0, 1).text("a").put(9, 4).put(8, 4).put(1, 8).raw(bytes, true).done(), /not UTF-8/);
    refused(head(1, 0).raw(bytes, true).put(0, 32).done(), /not UTF-8/);
  }
});

test("a header is read in pieces, however its texts are cut, and nothing else of the file is", async () => {
  const tokens = Array.from({ length: 40_000 }, (_, i) => `Ġ€😀${i}`);
  const file = writeGguf(
    { "general.name": "é".repeat(100_000), tokens },
    { t: { type: 0, shape: [2_000_000], bytes: new Uint8Array(8_000_000) } },
  );
  const source = openFiles([new File([file], "a.gguf")]);
  let end = 0;
  const watched = {
    size: (path: string) => source.size(path),
    describe: (path: string) => path,
    read(path: string, begin: number, to: number) {
      assert.is(begin, end, "pieces follow one another");
      end = to;
      return source.read(path, begin, to);
    },
  } as unknown as typeof source;
  const { metadata, tensors } = await readGgufHeader(watched, "a.gguf");
  assert.equal((metadata.get("tokens") as Texts).all(), tokens);
  assert.is(tensors.get("t")?.byteLength, 8_000_000);
  const headerBytes = file.length - 8_000_000;
  assert.ok(headerBytes > 1_000_000 && end < 4 * headerBytes, `${end} bytes were read of a header of ${headerBytes}`);
});

test("hostile files of ten megabytes take a second and little more than their size", async () => {
  const hostile: Readonly<Record<string, (size: number) => Uint8Array>> = {
    // A list of millions of empty texts.
    texts: (size) =>
      head(0, 1)
        .text("a")
        .put(9, 4)
        .put(8, 4)
        .put(Math.floor((size - 100) / 8), 8)
        .raw(new Uint8Array(size))
        .done(),
    // Millions of lists in a list.
    lists: (size) => head(0, 1).text("a").put(9, 4).put(9, 4).put(60_000, 8).raw(new Uint8Array(size)).done(),
    fields: (size) =>
      head(0, Math.floor(size / 13))
        .raw(new Uint8Array(size))
        .done(),
    tensors: (size) =>
      head(Math.floor(size / 24), 0)
        .raw(new Uint8Array(size))
        .done(),
    text: (size) => head(0, 1).text("a").put(8, 4).put(size, 8).raw(new Uint8Array(size).fill(0xe2)).done(),
    zeros: (size) => new Uint8Array(size),
  };
  for (const [name, make] of Object.entries(hostile)) {
    const bytes = make(10_000_000);
    const files = openFiles([new File([bytes.slice()], "a.gguf")]);
    const began = performance.now();
    let code = "";
    await readGgufHeader(files, "a.gguf").catch((error: unknown) => {
      code = error instanceof SluiceError ? error.code : String(error);
    });
    assert.ok(code === "" || code === "bad_file", `${name}: ${code}`);
    assert.ok(performance.now() - began < 1000, `${name}: ${performance.now() - began} ms`);
  }
});

test("no file of random or changed bytes gives another error than bad_file", () => {
  const sound = info(head(1, 1).text("a").put(9, 4).put(6, 4).put(2, 8).put(0, 8), "t", 2, 0).pad(32).put(0, 8).done();
  const change = fc.tuple(fc.nat(sound.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 6 }), fc.nat(sound.length), (changes, length) => {
      const file = sound.slice();
      for (const [at, value] of changes) file[at] = value;
      try {
        parseGguf(file.subarray(0, length), "a.gguf");
      } catch (error) {
        assert.instance(error, SluiceError);
        assert.is((error as SluiceError).code, "bad_file");
      }
    }),
    { numRuns: 2000 },
  );
});

test.run();
