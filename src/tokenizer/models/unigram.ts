/**
 * Unigram: of all ways to cut a piece into tokens, the one with the greatest sum of scores (Viterbi).
 * Semantics: https://github.com/huggingface/tokenizers/blob/main/tokenizers/src/models/unigram (encode_optimized)
 */

import { show } from "../../show.ts";
import type { JsonObject } from "../json.ts";
import { bytesOf, byteTokens } from "./bpe.ts";
import { PairTable } from "./pair-table.ts";
import { malformed, noToken, readSwitch, type TokenizerModel, Vocabulary } from "./vocabulary.ts";
import { WordCache } from "./word-cache.ts";

/** How far the score of an unknown character is below that of the least likely token. */
const UNKNOWN_PENALTY = 10;

/** @throws SluiceError `bad_file` */
export function readUnigram(config: JsonObject): TokenizerModel {
  const { vocab } = config;
  if (!Array.isArray(vocab) || vocab.length === 0) throw malformed("`model.vocab` is missing or empty");
  vocab.forEach((entry: unknown, id) => {
    const [token, score] = Array.isArray(entry) ? entry : [];
    if (typeof token === "string" && Number.isFinite(score)) return;
    throw malformed(`\`model.vocab[${id}]\` is ${show(entry)}, not a token and its score`);
  });
  const unknown = config.unk_id ?? undefined;
  if (
    unknown !== undefined &&
    !(Number.isInteger(unknown) && (unknown as number) >= 0 && (unknown as number) < vocab.length)
  ) {
    throw malformed(`\`model.unk_id\` is ${show(unknown)}, not the index of one of the ${vocab.length} tokens`);
  }
  return unigramModel(vocab as [string, number][], unknown as number | undefined, readSwitch(config, "byte_fallback"));
}

/**
 * @param vocab tokens and scores, in the order of the ids
 * @param unknown id of characters that no token covers
 */
export function unigramModel(
  vocab: readonly (readonly [string, number])[],
  unknown: number | undefined,
  byteFallback: boolean,
): TokenizerModel {
  const vocabulary = new Vocabulary(
    new Map(vocab.map(([token], id) => [token, id])),
    new Map(vocab.map(([token], id) => [id, token])),
  );
  const { idOf } = vocabulary;
  const scores = Float64Array.from(vocab, ([, score]) => score);
  const unknownScore =
    scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY) - UNKNOWN_PENALTY;
  const trie = new Trie(idOf);
  const bytes = byteFallback ? byteTokens(idOf) : undefined;

  /** The begin and id of each token of the best way, backwards; consecutive unknowns are fused. */
  function bestCut(text: string): readonly { readonly start: number; readonly end: number }[] {
    const size = text.length;
    const score = new Float64Array(size + 1);
    const begin = new Int32Array(size + 1).fill(-1);
    const token = new Int32Array(size + 1);
    const reach = (end: number, start: number, id: number, total: number): void => {
      if (begin[end] !== -1 && total <= (score[end] as number)) return;
      score[end] = total;
      begin[end] = start;
      token[end] = id;
    };
    for (let start = 0, width = 0; start < size; start += width) {
      const here = score[start] as number;
      width = (text.codePointAt(start) as number) > 0xffff ? 2 : 1;
      let hasCharacter = false;
      for (let node = 0, end = start; end < size; ) {
        const code = text.codePointAt(end) as number;
        node = trie.child(node, code);
        if (node < 0) break;
        end += code > 0xffff ? 2 : 1;
        const id = trie.token(node);
        if (id < 0) continue;
        reach(end, start, id, (scores[id] as number) + here);
        hasCharacter ||= end === start + width;
      }
      if (hasCharacter) continue;
      if (unknown === undefined) throw noToken(text.slice(start, start + width));
      reach(start + width, start, unknown, unknownScore + here);
    }
    const cut: { start: number; end: number }[] = [];
    let fusing = false;
    for (let end = size; end > 0; end = begin[end] as number) {
      const start = begin[end] as number;
      const isUnknown = token[end] === unknown;
      if (isUnknown && fusing) (cut.at(-1) as { start: number }).start = start;
      else cut.push({ start, end });
      fusing = isUnknown;
    }
    return cut.reverse();
  }

  const cache = new WordCache((text, ids) => {
    for (const { start, end } of bestCut(text)) {
      const stretch = text.slice(start, end);
      const id = idOf.get(stretch);
      const fallback = id === undefined && bytes ? bytesOf(stretch, bytes) : undefined;
      if (fallback) for (const byte of fallback) ids.push(byte);
      else ids.push(id ?? (unknown as number));
    }
  });
  return { vocabulary, encode: (text, ids) => cache.encode(text, ids) };
}

/** The tokens by their characters. */
class Trie {
  readonly #edges: PairTable;
  /** The token that ends at each node, or -1. Node 0 is the root. */
  readonly #tokens: number[] = [-1];

  constructor(tokens: ReadonlyMap<string, number>) {
    this.#edges = new PairTable(tokens.size * 2);
    for (const [token, id] of tokens) {
      let node = 0;
      for (const character of token) {
        const code = character.codePointAt(0) as number;
        let child = this.#edges.get(node, code);
        if (child < 0) {
          child = this.#tokens.length;
          this.#edges.set(node, code, child);
          this.#tokens.push(-1);
        }
        node = child;
      }
      this.#tokens[node] = id;
    }
  }

  /** -1 if no token continues with this character. */
  child(node: number, code: number): number {
    return this.#edges.get(node, code);
  }

  token(node: number): number {
    return this.#tokens[node] as number;
  }
}
