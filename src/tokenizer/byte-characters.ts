/**
 * GPT-2's characters for bytes: each byte is written as a visible character, printable Latin-1 as itself and
 * the others as the characters from U+0100 on.
 */
export const byteCharacters: readonly string[] = makeByteCharacters();

function makeByteCharacters(): string[] {
  let others = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    const isPrintable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(isPrintable ? byte : 0x100 + others++);
  });
}

/** A text's bytes in UTF-8, written in these characters. */
export function toByteCharacters(text: string): string {
  let written = "";
  for (let at = 0; at < text.length; at++) {
    const code = text.codePointAt(at) as number;
    if (code < 0x80) written += byteCharacters[code];
    else if (code < 0x800) written += pair(0xc0 | (code >>> 6), code);
    else if (code < 0x10000) written += byteCharacters[0xe0 | (code >>> 12)] + pair(0x80 | ((code >>> 6) & 0x3f), code);
    else {
      written += (byteCharacters[0xf0 | (code >>> 18)] as string) + byteCharacters[0x80 | ((code >>> 12) & 0x3f)];
      written += pair(0x80 | ((code >>> 6) & 0x3f), code);
      at++;
    }
  }
  return written;
}

/** A byte, and the last byte of a character. */
function pair(byte: number, code: number): string {
  return (byteCharacters[byte] as string) + byteCharacters[0x80 | (code & 0x3f)];
}
