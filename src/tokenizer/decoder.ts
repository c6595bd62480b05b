/**
 * The `decoder` of a tokenizer.json: a chain of steps over the list of all tokens; the results are joined.
 * Semantics: https://github.com/huggingface/tokenizers/tree/main/tokenizers/src/decoders
 */
import { byteCharacters } from "./byte-characters.ts";
import { Effort } from "./patterns/pattern.ts";
import { Step } from "./step.ts";

/** A step on one token; `index` counts the tokens of the text. */
export type TokenStep = (token: string, index: number) => string;

/** One step of a decoder, with the distinctions that streaming needs. */
export type DecoderStep =
  | { readonly kind: "token"; readonly step: TokenStep }
  /** Tokens that represent bytes. `byte-level` makes one text of all tokens, `byte-fallback` one of each run. */
  | { readonly kind: "byte-level" }
  | { readonly kind: "byte-fallback" }
  | { readonly kind: "fuse" }
  | { readonly kind: "strip"; readonly character: string; readonly start: number; readonly stop: number }
  | { readonly kind: "list"; readonly step: (tokens: readonly string[]) => string[] };

/**
 * @param config the `decoder` field: an object, or null if tokens are words joined by spaces
 * @throws SluiceError `bad_file` for a decoder that is malformed or of an unknown type
 */
export function compileDecoder(config: unknown): readonly DecoderStep[] {
  if (config === null || config === undefined) {
    return [{ kind: "token", step: (token, index) => (index === 0 ? token : ` ${token}`) }];
  }
  const steps: DecoderStep[] = [];
  addDecoder(steps, new Step(config, "decoder"), { factor: 1 });
  return steps;
}

/** How many times as long as its tokens a text can be made: steps multiply, and there can be many. */
interface Lengthening {
  factor: number;
}

const MOST_LENGTHENING = 1000;

/** The text of a whole list of tokens. */
export function decodeTokens(steps: readonly DecoderStep[], tokens: readonly string[]): string {
  return steps.reduce(applyStep, tokens).join("");
}

/** The bytes of a token that is not the first of its text; undefined if they depend on the tokens around it. */
export function tokenBytes(steps: readonly DecoderStep[], token: string): Uint8Array | undefined {
  let text = token;
  for (const step of steps) {
    if (step.kind === "list") return undefined;
    if (step.kind === "token") text = step.step(text, 1);
    else if (step.kind === "byte-level") return byteLevelBytes(text);
    else if (step.kind === "byte-fallback") {
      const byte = fallbackByte(text);
      if (byte !== undefined) return Uint8Array.of(byte);
    }
  }
  return utf8.encode(text);
}

function applyStep(tokens: readonly string[], step: DecoderStep): readonly string[] {
  switch (step.kind) {
    case "token":
      return tokens.map(step.step);
    case "byte-level":
      return [joinByteLevel(tokens)];
    case "byte-fallback":
      return joinByteRuns(tokens);
    case "fuse":
      return [tokens.join("")];
    case "strip":
      return tokens.map((token) => strip(token, step));
    case "list":
      return step.step(tokens);
  }
}

function addDecoder(steps: DecoderStep[], step: Step, longer: Lengthening): void {
  switch (step.type) {
    case "Sequence":
      for (const each of step.steps("decoders")) addDecoder(steps, each, longer);
      return;
    case "ByteLevel":
      steps.push({ kind: "byte-level" });
      return;
    case "ByteFallback":
      steps.push({ kind: "byte-fallback" });
      return;
    case "Fuse":
      steps.push({ kind: "fuse" });
      return;
    case "Strip":
      steps.push(stripStep(step));
      return;
    case "Replace":
      steps.push({ kind: "token", step: replaceStep(step, longer) });
      return;
    case "Metaspace":
      steps.push({ kind: "token", step: metaspaceStep(step) });
      return;
    case "WordPiece":
      steps.push({ kind: "token", step: wordPieceStep(step) });
      return;
    case "BPEDecoder":
      steps.push({ kind: "list", step: bpeStep(step) });
      return;
    case "CTC":
      steps.push({ kind: "list", step: ctcStep(step) });
      return;
    default:
      throw step.unknown();
  }
}

/** An optional text field. */
function textOf(step: Step, field: string, fallback: string): string {
  return step.get(field) === undefined ? fallback : step.string(field);
}

type Strip = Extract<DecoderStep, { kind: "strip" }>;

function stripStep(step: Step): Strip {
  const start = step.get("start");
  const stop = step.get("stop");
  if (!isCount(start) || !isCount(stop)) throw step.fail("needs counts as `start` and `stop`");
  return { kind: "strip", character: step.character("content"), start, stop };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function strip(token: string, { character, start, stop }: Strip): string {
  let from = 0;
  for (let i = 0; i < start && token.startsWith(character, from); i++) from += character.length;
  let to = token.length;
  for (
    let i = 0;
    i < stop && to > from && token.endsWith(character) && token.startsWith(character, to - character.length);
    i++
  ) {
    to -= character.length;
  }
  return token.slice(from, to);
}

function replaceStep(step: Step, longer: Lengthening): TokenStep {
  const pattern = step.pattern("pattern");
  const content = step.string("content");
  // An expression may match nothing, before and after each character.
  longer.factor *= Math.max(1, pattern.leastLength > 0 ? content.length / pattern.leastLength : 1 + 2 * content.length);
  if (longer.factor > MOST_LENGTHENING) {
    throw step.fail(`can make texts more than ${MOST_LENGTHENING} times as long as their tokens`);
  }
  return (token) => replaceMatches(token, pattern.matches(token, new Effort(token.length)), content);
}

/** @param matches begin and end of each match, in turn */
function replaceMatches(text: string, matches: readonly number[], content: string): string {
  let replaced = "";
  let at = 0;
  for (let i = 0; i < matches.length; i += 2) {
    replaced += text.slice(at, matches[i]) + content;
    at = matches[i + 1] as number;
  }
  return replaced + text.slice(at);
}

function metaspaceStep(step: Step): TokenStep {
  const replacement = step.get("replacement") === undefined ? "▁" : step.character("replacement");
  // Files from before tokenizers 0.15 say add_prefix_space instead of prepend_scheme.
  const older = step.boolean("add_prefix_space", true) ? "always" : "never";
  const prepends = step.oneOf("prepend_scheme", ["always", "first", "never"], older) !== "never";
  return (token, index) => token.replaceAll(replacement, index === 0 && prepends ? "" : " ");
}

function wordPieceStep(step: Step): TokenStep {
  const prefix = textOf(step, "prefix", "##");
  const cleans = step.boolean("cleanup", true);
  return (token, index) => {
    const isPart = index > 0 && token.startsWith(prefix);
    const word = isPart ? token.slice(prefix.length) : index === 0 ? token : ` ${token}`;
    return cleans ? cleanUp(word) : word;
  };
}

/** English spacing, in the library's order. */
const CLEANUPS = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
] as const;

function cleanUp(text: string): string {
  return CLEANUPS.reduce((now, [from, to]) => now.replaceAll(from, to), text);
}

function bpeStep(step: Step): (tokens: readonly string[]) => string[] {
  const suffix = textOf(step, "suffix", "</w>");
  return (tokens) => tokens.map((token, index) => token.replaceAll(suffix, index === tokens.length - 1 ? "" : " "));
}

function ctcStep(step: Step): (tokens: readonly string[]) => string[] {
  const pad = textOf(step, "pad_token", "<pad>");
  const delimiter = textOf(step, "word_delimiter_token", "|");
  const cleans = step.boolean("cleanup", true);
  return (tokens) =>
    tokens
      .filter((token, index) => token !== tokens[index - 1])
      .map((token) => {
        const text = token.replaceAll(pad, "");
        return cleans ? cleanUp(text).replaceAll(delimiter, " ") : text;
      })
      .filter((text) => text !== "");
}

const utf8 = new TextEncoder();

function joinByteLevel(tokens: readonly string[]): string {
  const bytes = tokens.map(byteLevelBytes);
  const all = new Uint8Array(bytes.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of bytes) {
    all.set(part, at);
    at += part.length;
  }
  // A byte order mark inside generated text is text: the decoder must not swallow it.
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(all);
}

/** A run of byte tokens is one text if it is valid UTF-8, else U+FFFD for each byte. */
function joinByteRuns(tokens: readonly string[]): string[] {
  const texts: string[] = [];
  let run: number[] = [];
  const endRun = (): void => {
    for (const text of run.length > 0 ? textOfRun(run) : []) texts.push(text);
    run = [];
  };
  for (const token of tokens) {
    const byte = fallbackByte(token);
    if (byte !== undefined) run.push(byte);
    else {
      endRun();
      texts.push(token);
    }
  }
  endRun();
  return texts;
}

function textOfRun(run: readonly number[]): string[] {
  try {
    return [new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(run))];
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return run.map(() => "\ufffd");
  }
}

/** `<0x0A>` is the byte 10. */
export function fallbackByte(token: string): number | undefined {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : undefined;
}

/** The bytes that a token's characters represent. A token with any other character is plain text. */
export function byteLevelBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_OF_CODE.get(token.charCodeAt(i));
    if (byte === undefined) return utf8.encode(token);
    bytes[i] = byte;
  }
  return bytes;
}

const BYTE_OF_CODE: ReadonlyMap<number, number> = new Map(
  byteCharacters.map((character, byte) => [character.charCodeAt(0), byte]),
);
