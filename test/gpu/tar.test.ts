/** Reads tar archives, and reports damaged ones. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readTar } from "../../src/gpu/tar.ts";
import { refusal } from "../formats/refusal.ts";

const ascii = (text: string) => new TextEncoder().encode(text);

/** An entry as tar writes it: header, contents, padding to 512 bytes. */
function entry(name: string, contents: Uint8Array, { type = "0", prefix = "" } = {}): Uint8Array {
  const bytes = new Uint8Array(512 + Math.ceil(contents.length / 512) * 512);
  bytes.set(ascii(name), 0);
  bytes.set(ascii(`${contents.length.toString(8).padStart(11, "0")}\0`), 124);
  bytes.set(ascii(`        ${type}`), 148);
  bytes.set(ascii("ustar\x0000"), 257);
  bytes.set(ascii(prefix), 345);
  const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  bytes.set(ascii(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  bytes.set(contents, 512);
  return bytes;
}

function archive(...entries: readonly Uint8Array[]): Uint8Array {
  const all = [...entries, new Uint8Array(1024)];
  const bytes = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of all) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

test("plain files come by their paths; folders and links do not", () => {
  const files = readTar(
    archive(
      entry("lib/", new Uint8Array(0), { type: "5" }),
      entry("a.txt", ascii("hello")),
      entry("empty", new Uint8Array(0)),
      entry("b.bin", new Uint8Array(513).fill(7), { prefix: "deep/er" }),
      entry("link", new Uint8Array(0), { type: "2" }),
    ),
    "x.tar",
  );
  assert.equal([...files.keys()], ["a.txt", "empty", "deep/er/b.bin"]);
  assert.is(new TextDecoder().decode(files.get("a.txt")), "hello");
  assert.is(files.get("deep/er/b.bin")?.length, 513);
});

test("a damaged header, and an end within a file, are reported", async () => {
  const whole = archive(entry("a.txt", ascii("hello")), entry("b.txt", new Uint8Array(2000)));
  const damaged = whole.slice();
  damaged[1024 + 3] = 0xff;
  await refusal("bad_file", () => readTar(damaged, "x.tar"), "x.tar", "byte 1024");
  await refusal("bad_file", () => readTar(whole.subarray(0, 2048), "x.tar"), "x.tar", "2048");
  await refusal("bad_file", () => readTar(whole.subarray(0, 1000), "x.tar"), "x.tar");
  await refusal("bad_file", () => readTar(new Uint8Array(0), "x.tar"), "x.tar");
});

test.run();
