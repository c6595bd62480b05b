/** Whether bytes are UTF-8, checked without making a text of them. */

/** Least code point of a sequence of that many bytes: a smaller one must be written shorter. */
const LEAST = [0, 0, 0x80, 0x800, 0x10000];

/** @param begin,end the part of `bytes` that is checked */
export function isUtf8(bytes: Uint8Array, begin: number, end: number): boolean {
  for (let at = begin; at < end; ) {
    const first = bytes[at] as number;
    if (first < 0x80) {
      at++;
      continue;
    }
    const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    // 0x80 to 0xbf continue a sequence, and no sequence is longer than four bytes.
    if (first < 0xc0 || first >= 0xf8 || at + length > end) return false;
    let code = first & (0x7f >> length);
    for (let i = 1; i < length; i++) {
      const next = bytes[at + i] as number;
      if ((next & 0xc0) !== 0x80) return false;
      code = code * 64 + (next & 0x3f);
    }
    const isSurrogate = code >= 0xd800 && code < 0xe000;
    if (code < (LEAST[length] as number) || code > 0x10ffff || isSurrogate) return false;
    at += length;
  }
  return true;
}
