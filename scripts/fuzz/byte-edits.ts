/** Edits of bytes: what transfers, disks and careless or hostile writers do to files. */
import fc from "fast-check";
import { picked, share } from "./json-edits.ts";

/** One change of a file's bytes. `at` and `length` are shares of its length. */
export interface ByteEdit {
  readonly kind: "bytes";
  readonly at: number;
  readonly change: "flip" | "set" | "u32" | "u64" | "cut" | "remove" | "repeat" | "zeros" | "ascii";
  readonly length: number;
  readonly pick: number;
}

export const byteEdit: fc.Arbitrary<ByteEdit> = fc.record({
  kind: fc.constant("bytes"),
  // Headers are at the beginning.
  at: fc.oneof(
    share(),
    share().map((n) => n * n * n * n),
  ),
  change: fc.constantFrom("flip", "flip", "set", "u32", "u64", "cut", "remove", "repeat", "zeros", "ascii"),
  length: share().map((n) => n ** 6),
  pick: share(),
});

const words = [0, 1, 2, 7, 255, 256, 2 ** 16, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const longs = [0n, 1n, 8n, 255n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 62n, 2n ** 63n, 2n ** 64n - 1n];
const signs = ['"', "{", "}", "[", "]", ",", ":", "\n", "\r", "\0", " ", "-", "9", "e", "\\", "\u00ff"];

/** A changed copy. */
export function editBytes(bytes: Uint8Array, { at, change, length, pick }: ByteEdit): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(bytes);
  const begin = Math.floor(at * copy.length);
  const span = 1 + Math.floor(length * (copy.length - begin));
  const around = (...middle: Uint8Array[]): Uint8Array<ArrayBuffer> => joined([copy.subarray(0, begin), ...middle]);
  const rest = copy.subarray(begin);
  switch (change) {
    case "cut":
      return copy.slice(0, begin);
    case "remove":
      return around(rest.subarray(span));
    case "repeat":
      return around(rest.subarray(0, span), rest);
    case "zeros":
      return around(new Uint8Array(span), rest);
    case "flip":
      if (copy.length > 0) copy[begin] = (copy[begin] as number) ^ (1 << Math.floor(pick * 8));
      return copy;
    case "set":
      copy.fill(Math.floor(pick * 256), begin, begin + span);
      return copy;
    case "ascii":
      if (copy.length > 0) copy[begin] = picked(signs, pick).charCodeAt(0);
      return copy;
    case "u32":
      if (begin + 4 <= copy.length) new DataView(copy.buffer).setUint32(begin, picked(words, pick), true);
      return copy;
    case "u64":
      if (begin + 8 <= copy.length) new DataView(copy.buffer).setBigUint64(begin, picked(longs, pick), true);
      return copy;
  }
}

export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
