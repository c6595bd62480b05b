/** Texts cut into graphemes, in time linear in their length: the host's segmenter alone takes quadratic time. */

const WINDOW = 128;

const segmenter = new Intl.Segmenter("und", { granularity: "grapheme" });

/** Calls back with each grapheme. */
export function eachGrapheme(text: string, add: (grapheme: string) => void): void {
  let window = WINDOW;
  for (let at = 0; at < text.length; ) {
    // Adjacent ASCII characters are graphemes each; a carriage return may belong to the next character.
    if (isPlain(text, at) && (at + 1 === text.length || isPlain(text, at + 1))) {
      add(text.charAt(at));
      at++;
      continue;
    }
    const end = Math.min(at + window, text.length);
    const part = text.slice(at, isLowSurrogate(text, end) ? end + 1 : end);
    const isLast = at + part.length === text.length;
    const graphemes = Array.from(segmenter.segment(part), ({ segment }) => segment);
    // The last may continue beyond the window.
    if (!isLast) graphemes.pop();
    window = graphemes.length === 0 ? 2 * window : WINDOW;
    for (const grapheme of graphemes) {
      add(grapheme);
      at += grapheme.length;
    }
  }
}

function isPlain(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit < 0x80 && unit !== 0x0d;
}

function isLowSurrogate(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00;
}
