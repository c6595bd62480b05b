/** The normalizer `Nmt`: removes control characters, and replaces characters that look like spaces by spaces. */
export function nmt(text: string): string {
  let result = "";
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    if (!isRemoved(code)) result += SPACES.has(code) ? " " : character;
  }
  return result;
}

function isRemoved(code: number): boolean {
  if (code < 0x20) return code !== 0 && !SPACES.has(code);
  return code === 0x7f || code === 0x8f || code === 0x9f;
}

/** Tab, line ends and form feed; Ogham's space; zero-width and direction marks; separators; ▁; U+FEFF and U+FFFD. */
const SPACES: ReadonlySet<number> = new Set([
  ...[0x09, 0x0a, 0x0c, 0x0d, 0x1680, 0x200b, 0x200c, 0x200d, 0x200e, 0x200f],
  ...[0x2028, 0x2029, 0x2581, 0xfeff, 0xfffd],
]);
