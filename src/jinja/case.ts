/** Upper, lower and title case, and tests of kinds of characters, as in Python's str. */
import { isSpace } from "./text.ts";

const UPPER = /^\p{Uppercase}$/u;
const LOWER = /^\p{Lowercase}$/u;
const TITLE = /^\p{Lt}$/u;

/** Letters that have a title case of their own. */
const TITLES: Readonly<Record<string, string>> = {
  Ǆ: "ǅ",
  ǅ: "ǅ",
  ǆ: "ǅ",
  Ǉ: "ǈ",
  ǈ: "ǈ",
  ǉ: "ǈ",
  Ǌ: "ǋ",
  ǋ: "ǋ",
  ǌ: "ǋ",
  Ǳ: "ǲ",
  ǲ: "ǲ",
  ǳ: "ǲ",
  ŉ: "ʼN",
  ǰ: "J̌",
  ΐ: "Ϊ́",
  ΰ: "Ϋ́",
};

/** One character in title case. */
export function titleCharacter(character: string): string {
  const known = TITLES[character];
  if (known !== undefined && Object.hasOwn(TITLES, character)) return known;
  const code = character.codePointAt(0) as number;
  // Georgian letters have capitals only for whole words.
  if (code >= 0x10d0 && code <= 0x10ff) return character;
  // Greek letters with an iota below, which stays below.
  if (code >= 0x1f80 && code <= 0x1faf) return String.fromCodePoint(code | 8);
  if (code === 0x1fb3 || code === 0x1fc3 || code === 0x1ff3) return String.fromCodePoint(code + 9);
  if (code === 0x1fbc || code === 0x1fcc || code === 0x1ffc) return character;
  const upper = character.toUpperCase();
  const [first = "", ...rest] = upper;
  if (rest.length === 0) return upper;
  // Several letters: only the first stays upper; marks stay as they are. A iota from below stays a mark.
  return first + rest.map((letter) => (letter === "Ι" && code >= 0x1f80 ? "\u0345" : letter.toLowerCase())).join("");
}

/** Lower case within a text: only Σ depends on its neighbours. */
function lowering(text: string): (character: string, at: number) => string {
  // Only İ has a longer lower case, which would move the following text.
  const whole = text.includes("Σ") ? text.replaceAll("İ", "I").toLowerCase() : "";
  return (character, at) => (character === "Σ" ? (whole[at] as string) : character.toLowerCase());
}

export function capitalize(text: string): string {
  if (text === "") return "";
  const first = String.fromCodePoint(text.codePointAt(0) as number);
  // A Σ at the end of a word is recognised by the text before it.
  const lowered = `${first}${text.slice(first.length)}`.toLowerCase();
  return titleCharacter(first) + lowered.slice(first.toLowerCase().length);
}

/** `str.title`: each run of cased characters begins with a capital. */
export function titleCase(text: string): string {
  const lower = lowering(text);
  let result = "";
  let inWord = false;
  let at = 0;
  for (const character of text) {
    const cased = isCased(character);
    if (!cased) result += character;
    else result += inWord ? lower(character, at) : titleCharacter(character);
    inWord = cased;
    at += character.length;
  }
  return result;
}

function isCased(character: string): boolean {
  return UPPER.test(character) || LOWER.test(character) || TITLE.test(character);
}

export function swapCase(text: string): string {
  const lower = lowering(text);
  let at = 0;
  let result = "";
  for (const character of text) {
    if (UPPER.test(character)) result += lower(character, at);
    else result += LOWER.test(character) ? character.toUpperCase() : character;
    at += character.length;
  }
  return result;
}

export function caseFold(text: string): string {
  // Folding of sharp s and ligatures goes through upper case; Cherokee's and dotless i's differ from lower case.
  return Array.from(text, (character) => {
    if (character === "ı") return "ı";
    const code = character.codePointAt(0) as number;
    if (code >= 0x13a0 && code <= 0x13f5) return character;
    if ((code >= 0xab70 && code <= 0xabbf) || (code >= 0x13f8 && code <= 0x13fd)) return character.toUpperCase();
    const upper = character.toUpperCase();
    const folded = upper.toLowerCase();
    return character === "İ" ? "i̇" : folded.replace(/ς/g, "σ");
  }).join("");
}

/** Decimal digits, and those in circles, above, below and the like. */
const DIGIT =
  /^[\p{Nd}\u00b2\u00b3\u00b9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}\u{11052}-\u{1105a}\u{1f100}-\u{1f10a}]$/u;
/** All that counts, with the ideographs for numbers. */
const NUMERIC =
  /^[\p{N}\u3405\u3483\u382a\u3b4d\u4e00\u4e03\u4e07\u4e09\u4e5d\u4e8c\u4e94\u4e96\u4ebf\u4ec0\u4edf\u4ee8\u4f0d\u4f70\u5104\u5146\u5169\u516b\u516d\u5341\u5343\u5344\u5345\u534c\u53c1\u53c2\u53c3\u53c4\u56db\u58f1\u58f9\u5e7a\u5efe\u5eff\u5f0c\u5f0d\u5f0e\u5f10\u62fe\u634c\u67d2\u6f06\u7396\u767e\u8086\u842c\u8cae\u8cb3\u8d30\u9621\u9646\u964c\u9678\u96f6\uf96b\uf973\uf978\uf9b2\uf9d1\uf9d3\uf9fd\u{20001}\u{20064}\u{200e2}\u{20121}\u{2092a}\u{20983}\u{2098c}\u{2099c}\u{20aea}\u{20afd}\u{20b19}\u{22390}\u{22998}\u{23b1b}\u{2626d}\u{2f890}]$/u;

const every = (kind: RegExp) => (text: string) =>
  text !== "" && Array.from(text).every((character) => kind.test(character));

/** `str.isalpha` and similar methods, by name. */
export const QUESTIONS: ReadonlyMap<string, (text: string) => boolean> = new Map([
  ["isalpha", every(/^\p{L}$/u)],
  ["isdecimal", every(/^\p{Nd}$/u)],
  ["isdigit", every(DIGIT)],
  ["isnumeric", every(NUMERIC)],
  ["isalnum", (text: string) => text !== "" && Array.from(text).every((c) => /^\p{L}$/u.test(c) || NUMERIC.test(c))],
  ["isascii", (text: string) => /^[\0-\x7f]*$/.test(text)],
  ["isspace", (text: string) => text !== "" && Array.from(text).every(isSpace)],
  ["isidentifier", (text: string) => /^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(text)],
  ["isupper", (text: string) => isOneCase(text, UPPER, LOWER)],
  ["islower", (text: string) => isOneCase(text, LOWER, UPPER)],
  ["istitle", isTitle],
]);

/** Whether at least one character is cased, and all cased ones are of this case. */
function isOneCase(text: string, wanted: RegExp, other: RegExp): boolean {
  let found = false;
  for (const character of text) {
    if (other.test(character) || TITLE.test(character)) return false;
    found ||= wanted.test(character);
  }
  return found;
}

function isTitle(text: string): boolean {
  let found = false;
  let inWord = false;
  for (const character of text) {
    const begins = UPPER.test(character) || TITLE.test(character);
    const continues = !begins && LOWER.test(character);
    if (begins ? inWord : continues && !inWord) return false;
    inWord = begins || continues;
    found ||= inWord;
  }
  return found;
}
