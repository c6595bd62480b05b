/** Added tokens, which are searched for in a text before its model sees it. */
import { Effort } from "./patterns/pattern.ts";
import { sets } from "./patterns/properties.ts";
import { type Normalize, type Piece, wellFormed } from "./pipeline.ts";
import { isWordCharacter } from "./pre-tokenizers/characters.ts";
import { slice } from "./pre-tokenizers/cut.ts";
import { TokenFinder } from "./token-finder.ts";

/** The fields of tokenizer.json. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Whether it is found only without adjacent word characters. */
  readonly single_word: boolean;
  /** Whether it includes the white space before it. */
  readonly lstrip: boolean;
  /** Whether it includes the white space after it. */
  readonly rstrip: boolean;
  /** Whether it is searched for in the normalized text, itself normalized. */
  readonly normalized: boolean;
}

/** An added token that was found. */
export interface FoundToken {
  readonly id: number;
}

/** Splits texts at added tokens, and normalizes the text between them. */
export class AddedTokens {
  readonly #normalize: Normalize | undefined;
  /** Tokens searched for in the original text. */
  readonly #plain: Words;
  /** Tokens searched for in the normalized text. */
  readonly #normalized: Words;

  /**
   * @param tokens in the order of tokenizer.json
   * @param normalize the tokenizer's normalizer, if it has one
   */
  constructor(tokens: readonly AddedToken[], normalize: Normalize | undefined) {
    this.#normalize = normalize;
    // If two have the same text, the special one counts, otherwise the first.
    const sorted = [...tokens.filter((token) => token.special), ...tokens.filter((token) => !token.special)];
    const asNormalized = (content: string) => normalize?.({ text: content, head: content.length }).text ?? content;
    const plain = sorted.filter((token) => !token.normalized);
    const normalized = sorted.filter((token) => token.normalized);
    this.#plain = wordsOf(plain, wellFormed);
    this.#normalized = wordsOf(normalized, (content) => asNormalized(wellFormed(content)));
  }

  /**
   * @param text any string; lone surrogates count as U+FFFD
   * @returns the added tokens, and the pieces between them, normalized; no piece is empty
   * @throws SluiceError `bad_file` if long added tokens nearly match very often
   */
  split(text: string): (Piece | FoundToken)[] {
    const whole = wellFormed(text);
    const effort = new Effort(whole.length);
    const first = whole.codePointAt(0) ?? 0;
    const result: (Piece | FoundToken)[] = [];
    for (const part of splitAtWords({ text: whole, head: first > 0xffff ? 2 : 1 }, this.#plain, effort)) {
      if ("id" in part) result.push(part);
      else result.push(...splitAtWords(this.#normalize?.(part) ?? part, this.#normalized, effort));
    }
    return result;
  }
}

interface Words {
  readonly tokens: readonly AddedToken[];
  readonly finder: TokenFinder;
}

function wordsOf(tokens: readonly AddedToken[], textOf: (content: string) => string): Words {
  return { tokens, finder: new TokenFinder(tokens.map(({ content }) => textOf(content))) };
}

function splitAtWords(piece: Piece, { tokens, finder }: Words, effort: Effort): (Piece | FoundToken)[] {
  const { text } = piece;
  const parts: (Piece | FoundToken)[] = [];
  let done = 0;
  for (let found = finder.find(text, 0, effort); found; found = finder.find(text, found.end, effort)) {
    const token = tokens[found.word] as AddedToken;
    if (token.single_word && !isSingle(text, found.start, found.end)) continue;
    // The token before may have taken white space that begins this one, or all of it: as in the library, this one then
    // still counts, unless it includes the white space before it.
    const start = token.lstrip ? Math.max(spaceBefore(text, found.start, done), done) : found.start;
    const end = token.rstrip ? spaceAfter(text, found.end) : found.end;
    if (start >= end) continue;
    if (start > done) parts.push(slice(piece, done, start));
    parts.push({ id: token.id });
    done = end;
  }
  if (done < text.length) parts.push(slice(piece, done, text.length));
  return parts;
}

function isSingle(text: string, start: number, end: number): boolean {
  const before = start > 1 && isLowSurrogate(text, start - 1) ? start - 2 : start - 1;
  return !(start > 0 && isWordCharacter(text, before)) && !(end < text.length && isWordCharacter(text, end));
}

function isLowSurrogate(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00;
}

// All white space is in the first plane.

function spaceBefore(text: string, start: number, least: number): number {
  let at = start;
  while (at > least && sets.space().has(text.charCodeAt(at - 1))) at--;
  return at;
}

function spaceAfter(text: string, end: number): number {
  let at = end;
  while (at < text.length && sets.space().has(text.charCodeAt(at))) at++;
  return at;
}
