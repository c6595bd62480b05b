/**
 * Pre-tokenizers that split by kinds of characters. The library of tokenizers takes some kinds from old versions
 * of Unicode (punctuation from 8.0, scripts from 9.0); here they are those of the host.
 */
import { CodeSet } from "../patterns/code-set.ts";
import { sets } from "../patterns/properties.ts";
import type { Piece } from "../pipeline.ts";
import { type Add, slice } from "./cut.ts";

let marks: CodeSet | undefined;

/** Punctuation for `Punctuation` and BERT: Unicode's, and all of ASCII that is not a letter, digit or space. */
export function punctuation(): CodeSet {
  marks ??= CodeSet.ofHost("!-/:-@\\[-`{-~\\p{P}");
  return marks;
}

let wordCharacters: CodeSet | undefined;

/** Rust's \w, which is not quite Oniguruma's. */
function rustWords(): CodeSet {
  wordCharacters ??= CodeSet.ofHost("\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}");
  return wordCharacters;
}

/** Whether the character at a position is one of Rust's \w. */
export function isWordCharacter(text: string, at: number): boolean {
  return rustWords().has(text.codePointAt(at) as number);
}

/** `Whitespace`: runs of word characters, and of other characters except white space. */
export function words(piece: Piece, add: Add): void {
  const inWord = rustWords();
  const isSpace = sets.space();
  runs(piece, (code) => (inWord.has(code) ? "word" : isSpace.has(code) ? undefined : "other"), add);
}

/** Adds the longest runs of characters of one kind; characters without a kind are dropped. */
function runs(piece: Piece, kindOf: (code: number) => string | undefined, add: Add): void {
  const { text } = piece;
  let start = 0;
  let kind: string | undefined;
  for (let at = 0; at < text.length; ) {
    const code = text.codePointAt(at) as number;
    const next = kindOf(code);
    if (next !== kind) {
      if (kind !== undefined) add(slice(piece, start, at));
      start = at;
      kind = next;
    }
    at += code > 0xffff ? 2 : 1;
  }
  if (kind !== undefined) add(slice(piece, start, text.length));
}

/** `FixedLength`: pieces of a fixed number of characters. */
export function fixedLength(piece: Piece, length: number, add: Add): void {
  const { text } = piece;
  let start = 0;
  let count = 0;
  for (let at = 0; at < text.length; ) {
    if (count === length) {
      add(slice(piece, start, at));
      start = at;
      count = 0;
    }
    at += (text.codePointAt(at) as number) > 0xffff ? 2 : 1;
    count++;
  }
  add(slice(piece, start, text.length));
}

/**
 * `UnicodeScripts`: runs of characters of one script. Japanese is one script with Chinese, and a space belongs to any. As in
 * the library, text before the first character with a script is lost.
 */
export function unicodeScripts(piece: Piece, add: Add): void {
  const { text } = piece;
  let start = -1;
  let script: string | undefined;
  for (let at = 0; at < text.length; ) {
    const code = text.codePointAt(at) as number;
    const here = scriptOf(code);
    if (here !== undefined && here !== script) {
      if (start >= 0) add(slice(piece, start, at));
      start = at;
      script = here;
    }
    at += code > 0xffff ? 2 : 1;
  }
  if (start >= 0) add(slice(piece, start, text.length));
}

const scripts = new Map<number, string | undefined>();

/** Undefined for a space, and for a character without a script. */
function scriptOf(code: number): string | undefined {
  if (!scripts.has(code)) scripts.set(code, findScript(code));
  return scripts.get(code);
}

function findScript(code: number): string | undefined {
  if (code === 0x20) return undefined;
  // The long vowel mark, which belongs to both of Japan's scripts.
  if (code === 0x30fc) return "Han";
  const character = String.fromCodePoint(code);
  const script = SCRIPTS.find(({ expression }) => expression.test(character))?.name;
  return script === "Hiragana" || script === "Katakana" ? "Han" : script;
}

/** The scripts of Unicode 9.0, common ones first. */
const SCRIPTS = (
  "Common Latin Han Hiragana Katakana Hangul Cyrillic Arabic Inherited Greek Hebrew Devanagari Thai Adlam Ahom " +
  "Anatolian_Hieroglyphs Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo Brahmi Braille " +
  "Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Coptic Cuneiform Cypriot Deseret " +
  "Duployan Egyptian_Hieroglyphs Elbasan Ethiopic Georgian Glagolitic Gothic Grantha Gujarati Gurmukhi Hanunoo Hatran " +
  "Imperial_Aramaic Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Kayah_Li Kharoshthi Khmer " +
  "Khojki Khudawadi Lao Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Malayalam Mandaic Manichaean " +
  "Marchen Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar " +
  "Nabataean New_Tai_Lue Newa Nko Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian " +
  "Old_South_Arabian Old_Turkic Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician " +
  "Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sora_Sompeng " +
  "Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangut Telugu Thaana Tibetan " +
  "Tifinagh Tirhuta Ugaritic Vai Warang_Citi Yi"
)
  .split(" ")
  .map((name) => ({ name, expression: new RegExp(`\\p{Script=${name}}`, "u") }));
