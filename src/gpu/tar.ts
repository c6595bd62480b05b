/** Reads tar archives (POSIX ustar), the part of the format that plain files need. */
import { SluiceError } from "../errors.ts";

const BLOCK = 512;

/**
 * The plain files of an archive, by their paths in it; the contents are views into `archive`.
 * @param what names the archive in errors
 * @throws SluiceError `bad_file` for a header with a wrong checksum, or an archive that ends too early
 */
export function readTar(archive: Uint8Array, what: string): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let at = 0;
  while (at + BLOCK <= archive.byteLength) {
    const header = archive.subarray(at, at + BLOCK);
    // Two blocks of zeros end an archive; one is enough to recognise it.
    if (header.every((byte) => byte === 0)) return files;
    const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0);
    const size = Number.parseInt(text(header, 124, 12), 8);
    if (sum !== Number.parseInt(text(header, 148, 8), 8) || !(size >= 0)) {
      throw new SluiceError("bad_file", `${what} has no tar header at byte ${at}; it is damaged`);
    }
    const contents = archive.subarray(at + BLOCK, at + BLOCK + size);
    if (contents.byteLength < size) break;
    const type = text(header, 156, 1);
    if (type === "" || type === "0") {
      const prefix = text(header, 345, 155);
      files.set(prefix ? `${prefix}/${text(header, 0, 100)}` : text(header, 0, 100), contents);
    }
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw new SluiceError("bad_file", `${what} ends within a file, after ${archive.byteLength} bytes; it is damaged`);
}

/** A field of a header, up to its first NUL. */
function text(header: Uint8Array, at: number, length: number): string {
  const field = header.subarray(at, at + length);
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end)).trim();
}
