/** GGUF files: what they hold, and that hostile ones are refused at once, whatever they claim. */
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { parseGguf } from "../../src/formats/gguf.ts";

class Writer {
  readonly #bytes: number[] = [];

  get length(): number {
    return this.#bytes.length;
  }

  put(value: bigint | number, size: number): this {
    for (let i = 0; i < size; i++) this.#bytes.push(Number((BigInt(value) >> BigInt(8 * i)) & 255n));
    return this;
  }

  text(text: string): this {
    const bytes = new TextEncoder().encode(text);
    this.put(bytes.length, 8);
    this.#bytes.push(...bytes);
    return this;
  }

  pad(alignment: number): this {
    while (this.length % alignment !== 0) this.#bytes.push(0);
    return this;
  }

  done(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

const head = (tensors: bigint | number, fields: bigint | number): Writer =>
  new Writer().put(0x46554747, 4).put(3, 4).put(tensors, 8).put(fields, 8);

const info = (writer: Writer, name: string, size: bigint | number, offset: bigint | number): Writer =>
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
  assert.equal(metadata.get("d"), [["x", "y"]]);
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
    /items of a list/,
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
  refused(new Writer().put(0x46554747, 4).put(0x03000000, 4).done(), /big-endian/);
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
