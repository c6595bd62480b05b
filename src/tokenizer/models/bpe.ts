/**
 * Byte-pair encoding: a word begins as its characters, and the pair of neighbours that was learnt first is merged until
 * none is left. A heap holds the pairs and a linked list the symbols, so the time grows as n log n with a word's length.
 * Semantics: https://github.com/huggingface/tokenizers/blob/main/tokenizers/src/models/bpe
 */

import { show } from "../../show.ts";
import type { JsonObject } from "../json.ts";
import { MergeQueue, type Merges } from "./merge-queue.ts";
import { PairTable } from "./pair-table.ts";
import { malformed, noToken, readSwitch, readVocabulary, type TokenizerModel, type Vocabulary } from "./vocabulary.ts";
import { WordCache } from "./word-cache.ts";

export interface BpeOptions {
  /** Whether a whole piece that is a token is kept whole. */
  readonly ignoreMerges?: boolean;
  /** Whether a character without a token becomes the tokens `<0x00>` to `<0xFF>` of its bytes, if all exist. */
  readonly byteFallback?: boolean;
  /** Id of characters without a token. Undefined: they are dropped. Null: there is none, and they are refused. */
  readonly unknown?: number | null | undefined;
  /** Whether consecutive unknown characters become one unknown token. */
  readonly fuseUnknown?: boolean;
  /** Before every character of a word but the first. */
  readonly prefix?: string;
  /** After the last character of a word. */
  readonly suffix?: string;
}

/** @throws SluiceError `bad_file` */
export function readBpe(config: JsonObject): TokenizerModel {
  const vocabulary = readVocabulary(config.vocab, "`model.vocab`");
  const text = (field: string): string | undefined => {
    const value = config[field] ?? undefined;
    if (value === undefined || typeof value === "string") return value;
    throw malformed(`\`model.${field}\` is ${show(value)}, not a text`);
  };
  // It cuts words at random while a model is trained.
  const dropout = config.dropout ?? 0;
  if (!(typeof dropout === "number" && dropout >= 0 && dropout <= 1)) {
    throw malformed(`\`model.dropout\` is ${show(dropout)}, not a number from 0 to 1`);
  }
  const unk = text("unk_token");
  const unknown = unk === undefined ? undefined : (vocabulary.idOf.get(unk) ?? null);
  const prefix = text("continuing_subword_prefix");
  const merges = readMerges(config.merges, vocabulary, prefix?.length ?? 0);
  return bpeModel(vocabulary, merges, {
    ignoreMerges: readSwitch(config, "ignore_merges"),
    byteFallback: readSwitch(config, "byte_fallback"),
    unknown,
    fuseUnknown: readSwitch(config, "fuse_unk"),
    ...(prefix !== undefined && { prefix }),
    suffix: text("end_of_word_suffix") ?? "",
  });
}

/**
 * @param list merges as `"a b"` or `["a", "b"]`
 * @param prefixLength of the prefix that the right half loses in the merged token
 */
function readMerges(list: unknown, vocabulary: Vocabulary, prefixLength: number): Merges {
  if (!Array.isArray(list)) throw malformed("`model.merges` is not a list");
  const { idOf } = vocabulary;
  const ranks = new PairTable(list.length);
  const merged = new Int32Array(list.length);
  list.forEach((entry: unknown, rank) => {
    const space = typeof entry === "string" ? entry.indexOf(" ") : -1;
    const [left, right] = space >= 0 ? halvesAt(entry as string, space) : pairOf(entry);
    if (left === undefined || right === undefined) throw malformed(`merge ${rank} is ${show(entry)}, not two tokens`);
    const a = idOf.get(left);
    const b = idOf.get(right);
    const whole = right.length < prefixLength ? undefined : idOf.get(left + right.slice(prefixLength));
    if (a === undefined || b === undefined || whole === undefined) {
      throw malformed(`merge ${rank}, ${show(entry)}, names a token that \`model.vocab\` lacks`);
    }
    // If a pair is listed twice, the last rank counts.
    ranks.set(a, b, rank);
    merged[rank] = whole;
  });
  return { ranks, merged };
}

type Halves = readonly [string | undefined, string | undefined];

function halvesAt(text: string, space: number): Halves {
  const right = text.slice(space + 1);
  return right.includes(" ") ? [undefined, undefined] : [text.slice(0, space), right];
}

function pairOf(entry: unknown): Halves {
  const [left, right] = Array.isArray(entry) && entry.length === 2 ? (entry as unknown[]) : [];
  return typeof left === "string" && typeof right === "string" ? [left, right] : [undefined, undefined];
}

/** A BPE made from its parts, from a tokenizer.json or elsewhere. */
export function bpeModel(vocabulary: Vocabulary, merges: Merges, options: BpeOptions): TokenizerModel {
  const { idOf } = vocabulary;
  const {
    ignoreMerges = false,
    byteFallback = false,
    unknown,
    fuseUnknown = false,
    prefix = "",
    suffix = "",
  } = options;
  const bytes = byteFallback ? byteTokens(idOf) : undefined;
  const queue = new MergeQueue(merges);

  /** The ids of a word's characters. */
  function symbolsOf(word: string): number[] {
    const symbols: number[] = [];
    let pending = false;
    for (let start = 0; start < word.length; ) {
      const end = start + ((word.codePointAt(start) as number) > 0xffff ? 2 : 1);
      const character = word.slice(start, end);
      const written = `${start > 0 ? prefix : ""}${character}${end === word.length ? suffix : ""}`;
      start = end;
      const id = idOf.get(written);
      if (id !== undefined) {
        if (pending) symbols.push(unknown as number);
        pending = false;
        symbols.push(id);
        continue;
      }
      const fallback = bytes && bytesOf(written, bytes);
      // As in Rust, an unknown that came before is written after the bytes.
      if (fallback) for (const byte of fallback) symbols.push(byte);
      else if (unknown === null) throw noToken(character);
      else if (unknown !== undefined) {
        if (pending && !fuseUnknown) symbols.push(unknown);
        pending = true;
      }
    }
    if (pending) symbols.push(unknown as number);
    return symbols;
  }

  const cache = new WordCache((text, ids) => {
    const whole = ignoreMerges ? idOf.get(text) : undefined;
    if (whole !== undefined) ids.push(whole);
    else queue.merge(symbolsOf(text), ids);
  });
  return { vocabulary, encode: (text, ids) => cache.encode(text, ids) };
}

/** The ids of `<0x00>` to `<0xFF>`, those that exist. */
export function byteTokens(idOf: ReadonlyMap<string, number>): readonly (number | undefined)[] {
  return Array.from({ length: 256 }, (_, byte) => idOf.get(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`));
}

const utf8 = new TextEncoder();

/** The tokens of a text's bytes; undefined if one of them does not exist. */
export function bytesOf(text: string, tokens: readonly (number | undefined)[]): number[] | undefined {
  const ids: number[] = [];
  for (const byte of utf8.encode(text)) {
    const id = tokens[byte];
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}
