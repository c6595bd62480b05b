/**
 * Makes a tokenizer.json from a SentencePiece model, as transformers 5 does: for LlamaTokenizer with that class's
 * steps, otherwise with those of the model's normaliser spec. Unlike there, a Unigram model stays one under the
 * name LlamaTokenizer too, as SentencePiece itself runs it.
 */
import { mergesById, mergesByScore } from "../formats/piece-merges.ts";
import type { JsonObject } from "./json.ts";
import type { SentencePiece, SentencePieceModel } from "./sentencepiece.ts";

export interface SentencePieceOptions {
  /** Whether the class is LlamaTokenizer. */
  readonly llama: boolean;
  /** `legacy` of tokenizer_config.json: each stretch between added tokens gets the space that a text begins with. */
  readonly legacy: boolean | undefined;
}

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
    merges: mergesOf(pieces, llama),
    unk_token: unknownPiece,
    fuse_unk: true,
    byte_fallback: llama || byteFallback,
    ignore_merges: ignoreMerges,
  };
}

/** Normal pieces are merged by their scores; LlamaTokenizer merges all of them in the order of their ids. */
function mergesOf(pieces: readonly SentencePiece[], llama: boolean): [string, string][] {
  const all = pieces.map(({ text, score, type }, id) => ({ text, score, id, type }));
  return llama ? mergesById(all) : mergesByScore(all.filter(({ type }) => type === "normal"));
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
