/**
 * Makes a tokenizer.json from a SentencePiece model, as transformers 5 does: for LlamaTokenizer with that class's
 * steps, otherwise with those of the model's normaliser spec. Unlike there, a Unigram model stays one under the
 * name LlamaTokenizer too, as SentencePiece itself runs it.
 */
import type { JsonObject } from "./json.ts";
import { malformed } from "./models/vocabulary.ts";
import type { SentencePiece, SentencePieceModel } from "./sentencepiece.ts";

export interface SentencePieceOptions {
  /** Whether the class is LlamaTokenizer. */
  readonly llama: boolean;
  /** `legacy` of tokenizer_config.json: each stretch between added tokens gets the space that a text begins with. */
  readonly legacy: boolean | undefined;
}

/** Maximum cost of finding the merges of all pieces, in characters compared. Real vocabularies take a hundredth. */
const MOST_WORK = 2e9;

/** @throws SluiceError `bad_file` for pieces so long that their merges would take minutes to find */
export function sentencePieceDefinition(model: SentencePieceModel, options: SentencePieceOptions): JsonObject {
  const userDefined = model.pieces.filter(({ type }) => type === "user-defined");
  const isolated = options.llama ? [] : userDefined;
  return {
    model: model.type === "unigram" ? unigram(model) : bpe(model, options.llama, isolated.length > 0),
    added_tokens: model.pieces
      .filter(({ type }) => type === "control" || (type === "user-defined" && options.llama))
      .map(({ text, type }) => ({ content: text, special: type === "control", normalized: false })),
    ...(options.llama ? llamaSteps(options) : specSteps(model, options, isolated)),
  };
}

function unigram({ pieces, unknownId, byteFallback }: SentencePieceModel): JsonObject {
  return {
    type: "Unigram",
    vocab: pieces.map(({ text, score }) => [text, score]),
    unk_id: unknownId,
    byte_fallback: byteFallback,
  };
}

function bpe(model: SentencePieceModel, llama: boolean, ignoreMerges: boolean): JsonObject {
  const { pieces, unknownPiece, byteFallback } = model;
  return {
    type: "BPE",
    vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
    merges: llama ? mergesById(pieces) : mergesByScore(pieces),
    unk_token: unknownPiece,
    fuse_unk: true,
    byte_fallback: llama || byteFallback,
    ignore_merges: ignoreMerges,
  };
}

interface Merge {
  readonly left: string;
  readonly right: string;
  readonly id: number;
}

/** A piece is a merge of any two others that it is made of; the piece that comes first is merged first. */
function mergesById(pieces: readonly SentencePiece[]): [string, string][] {
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  return splits([...ids], (part) => ids.has(part))
    .sort((a, b) => a.id - b.id || a.left.length - b.left.length)
    .map(({ left, right }) => [left, right]);
}

/** Like mergesById, only for normal pieces; the likelier piece is merged first. */
function mergesByScore(pieces: readonly SentencePiece[]): [string, string][] {
  const ids = new Map<string, number>();
  pieces.forEach(({ text, type }, id) => {
    if (type === "normal") ids.set(text, id);
  });
  const score = ({ id }: Merge): number => pieces[id]?.score ?? 0;
  return splits([...ids], (part) => ids.has(part))
    .sort((a, b) => score(b) - score(a) || a.id - b.id || a.left.length - b.left.length)
    .map(({ left, right }) => [left, right]);
}

function splits(tokens: readonly (readonly [string, number])[], isToken: (part: string) => boolean): Merge[] {
  if (tokens.reduce((work, [token]) => work + token.length ** 2, 0) > MOST_WORK) {
    throw malformed("tokenizer.model has pieces of many thousand characters");
  }
  const merges: Merge[] = [];
  for (const [token, id] of tokens) {
    for (let at = 1; at < token.length; at++) {
      const code = token.charCodeAt(at);
      if (code >= 0xdc00 && code < 0xe000) continue;
      const left = token.slice(0, at);
      const right = token.slice(at);
      if (isToken(left) && isToken(right)) merges.push({ left, right, id });
    }
  }
  return merges;
}

function llamaSteps({ legacy }: SentencePieceOptions): JsonObject {
  // transformers: legacy counts as false if LlamaTokenizer's files leave it out.
  const scheme = legacy ? "always" : "first";
  return {
    normalizer: null,
    pre_tokenizer: { type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split: false },
    decoder: decoder(true, true, true),
  };
}

function specSteps(
  model: SentencePieceModel,
  { legacy = true }: SentencePieceOptions,
  isolated: readonly SentencePiece[],
): JsonObject {
  const { charsmap, addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces, byteFallback } = model;
  const normalizers: JsonObject[] = [];
  if (charsmap.length > 0) normalizers.push({ type: "Precompiled", precompiled_charsmap: base64(charsmap) });
  if (removeExtraWhitespaces) {
    // Only spaces: SentencePiece keeps newlines.
    normalizers.push(replace({ Regex: "\\A +| +\\z" }, ""), replace({ Regex: " {2,}" }, " "));
  }
  if (escapeWhitespaces) normalizers.push(replace({ String: " " }, "▁"));
  // Metaspace adds no prefix to a text that begins with one; SentencePiece does.
  if (addDummyPrefix && legacy) normalizers.push(replace({ Regex: "\\A▁" }, "▁▁"));
  const pretokenizers: JsonObject[] = [];
  if (addDummyPrefix) {
    const scheme = legacy ? "always" : "first";
    pretokenizers.push({ type: "Metaspace", replacement: "▁", prepend_scheme: scheme, split: false });
  }
  if (isolated.length > 0) {
    const texts = isolated.map(({ text }) => text).sort((a, b) => [...b].length - [...a].length);
    const pattern = texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|#&~\s-]/g, "\\$&")).join("|");
    pretokenizers.push({ type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false });
  }
  return {
    normalizer: { type: "Sequence", normalizers },
    pre_tokenizer: pretokenizers.length > 0 ? { type: "Sequence", pretokenizers } : null,
    decoder: decoder(byteFallback, byteFallback || addDummyPrefix, addDummyPrefix),
  };
}

function replace(pattern: JsonObject, content: string): JsonObject {
  return { type: "Replace", pattern, content };
}

function decoder(byteFallback: boolean, fuse: boolean, stripsPrefix: boolean): JsonObject {
  return {
    type: "Sequence",
    decoders: [
      replace({ String: "▁" }, " "),
      ...(byteFallback ? [{ type: "ByteFallback" }] : []),
      ...(fuse ? [{ type: "Fuse" }] : []),
      ...(stripsPrefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
    ],
  };
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
