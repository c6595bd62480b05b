/** Writes zip archives of stored entries, as NumPy's and PyTorch's files are. */
import { SluiceError } from "../errors.ts";

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
/** 2.0: the version that reads stored entries in folders. */
const VERSION = 20;
/** 1 January 1980, the first day that an archive can name: equal contents give equal files. */
const DATE = 0x21;
/** Sizes and offsets are 32 bits wide. */
const MOST_BYTES = 0xffffffff;
const MOST_ENTRIES = 0xffff;

/** @throws SluiceError `usage` for more than such an archive holds */
export function writeZip(entries: ReadonlyMap<string, Uint8Array>): Uint8Array<ArrayBuffer> {
  const files = [...entries].map(([name, bytes]) => ({ name: new TextEncoder().encode(name), bytes }));
  const local = files.reduce((sum, { name, bytes }) => sum + 30 + name.length + bytes.length, 0);
  const central = files.reduce((sum, { name }) => sum + 46 + name.length, 0);
  if (local + central > MOST_BYTES || files.length > MOST_ENTRIES) {
    throw new SluiceError("usage", "This is more than a zip archive of 4 GiB and 65,535 entries holds");
  }
  const archive = new Uint8Array(local + central + 22);
  const view = new DataView(archive.buffer);
  let at = 0;
  let directory = local;
  for (const { name, bytes } of files) {
    const crc = crc32(bytes);
    view.setUint32(at, LOCAL, true);
    view.setUint32(directory, CENTRAL, true);
    view.setUint16(directory + 4, VERSION, true);
    view.setUint32(directory + 42, at, true);
    // From here on both headers have the same fields.
    for (const header of [at + 4, directory + 6]) {
      view.setUint16(header, VERSION, true);
      view.setUint16(header + 8, DATE, true);
      view.setUint32(header + 10, crc, true);
      view.setUint32(header + 14, bytes.length, true);
      view.setUint32(header + 18, bytes.length, true);
      view.setUint16(header + 22, name.length, true);
    }
    archive.set(name, at + 30);
    archive.set(bytes, at + 30 + name.length);
    archive.set(name, directory + 46);
    at += 30 + name.length + bytes.length;
    directory += 46 + name.length;
  }
  view.setUint32(directory, END, true);
  view.setUint16(directory + 8, files.length, true);
  view.setUint16(directory + 10, files.length, true);
  view.setUint32(directory + 12, central, true);
  view.setUint32(directory + 16, local, true);
  return archive;
}

let table: Uint32Array | undefined;

/** The checksum of zip archives, polynomial 0xEDB88320. */
export function crc32(bytes: Uint8Array): number {
  table ??= Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) * 0xedb88320);
    return crc;
  });
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] as number);
  return ~crc >>> 0;
}
