/** Zip archives written to take more than they have. */
import { deflateRawSync } from "node:zlib";
import { test } from "uvu";
import { readNumpyArray } from "../../src/formats/numpy.ts";
import { writeZip } from "../../src/formats/write-zip.ts";
import { ZipFile } from "../../src/formats/zip.ts";
import { refusal } from "./refusal.ts";

/** The directory's record of an entry. */
function recordOf(archive: Uint8Array, index: number): DataView {
  const view = new DataView(archive.buffer);
  let at = view.getUint32(archive.length - 6, true);
  for (let i = 0; i < index; i++) at += 46 + view.getUint16(at + 28, true);
  return new DataView(archive.buffer, at);
}

const SIZE = 24;
const METHOD = 10;
const HEADER = 42;

test("entries that share bytes are refused", async () => {
  const archive = writeZip(new Map(["a", "b", "c"].map((name) => [name, new Uint8Array(1000)])));
  recordOf(archive, 2).setUint32(HEADER, recordOf(archive, 1).getUint32(HEADER, true), true);
  await refusal("bad_file", () => new ZipFile(archive, "x.npz"), "has other entries within b");
});

test("what unpacks to far more than the archive has is refused, in one entry or in all together", async () => {
  const packed = deflateRawSync(new Uint8Array(30_000_000));
  const archive = writeZip(new Map(["a", "b"].map((name) => [name, packed])));
  for (const index of [0, 1]) {
    recordOf(archive, index).setUint16(METHOD, 8, true);
    recordOf(archive, index).setUint32(SIZE, 30_000_000, true);
  }
  const zip = new ZipFile(archive, "x.npz");
  await zip.read("a");
  await refusal("bad_file", () => zip.read("b"), "unpacks to far more than it has: b to 30000000 bytes");
  recordOf(archive, 0).setUint32(SIZE, 0xfffffffe, true);
  await refusal("bad_file", () => new ZipFile(archive, "x.npz").read("a"), "unpacks to far more");
});

test("an array's header is as long as NumPy's", async () => {
  const bytes = new Uint8Array(200_000);
  bytes.set([0x93, ...new TextEncoder().encode("NUMPY"), 2, 0, 0, 0, 2, 0]);
  await refusal("bad_file", () => readNumpyArray(bytes, "x.npy"), "has a header of 131072 bytes");
});

test.run();
