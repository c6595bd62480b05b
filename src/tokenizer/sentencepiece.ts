/**
 * Reads `tokenizer.model`, the file of SentencePiece.
 * https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto
 */
import { malformed } from "./models/vocabulary.ts";
import { type ProtobufField, readMessage } from "./protobuf.ts";

export type PieceType = "normal" | "unknown" | "control" | "user-defined" | "unused" | "byte";

export interface SentencePiece {
  readonly text: string;
  readonly score: number;
  readonly type: PieceType;
}

export interface SentencePieceModel {
  /** In the order of their ids. */
  readonly pieces: readonly SentencePiece[];
  readonly type: "unigram" | "bpe";
  readonly byteFallback: boolean;
  readonly unknownId: number;
  readonly unknownPiece: string;
  /** Names of the tokens that begin and end a text; undefined if their id is negative. */
  readonly bosPiece: string | undefined;
  readonly eosPiece: string | undefined;
  /** A table of the normaliser, as the normalizer `Precompiled` reads it; empty for none. */
  readonly charsmap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

const TYPES: readonly (PieceType | undefined)[] = [
  undefined,
  "normal",
  "unknown",
  "control",
  "user-defined",
  "unused",
  "byte",
];

/** @throws SluiceError `bad_file` if the file is damaged, or a model of words or characters */
export function readSentencePiece(file: Uint8Array): SentencePieceModel {
  const pieces: SentencePiece[] = [];
  let trainer: readonly ProtobufField[] = [];
  let normalizer: readonly ProtobufField[] = [];
  for (const { number, value } of readMessage(file)) {
    if (!(value instanceof Uint8Array)) continue;
    if (number === 1) pieces.push(readPiece(value));
    else if (number === 2) trainer = [...readMessage(value)];
    else if (number === 3) normalizer = [...readMessage(value)];
  }
  if (pieces.length === 0) throw malformed("tokenizer.model has no pieces; it is not a SentencePiece file");
  const type = integer(trainer, 3, 1);
  if (type !== 1 && type !== 2)
    throw malformed(`tokenizer.model is of type ${type}; Unigram (1) and BPE (2) are supported`);
  return {
    pieces,
    type: type === 1 ? "unigram" : "bpe",
    byteFallback: integer(trainer, 35, 0) !== 0,
    unknownId: integer(trainer, 40, 0),
    unknownPiece: text(trainer, 45, "<unk>"),
    bosPiece: isNegative(integer(trainer, 41, 1)) ? undefined : text(trainer, 46, "<s>"),
    eosPiece: isNegative(integer(trainer, 42, 2)) ? undefined : text(trainer, 47, "</s>"),
    charsmap: bytes(normalizer, 2) ?? new Uint8Array(0),
    addDummyPrefix: integer(normalizer, 3, 1) !== 0,
    removeExtraWhitespaces: integer(normalizer, 4, 1) !== 0,
    escapeWhitespaces: integer(normalizer, 5, 1) !== 0,
  };
}

function readPiece(message: Uint8Array): SentencePiece {
  const fields = [...readMessage(message)];
  const type = TYPES[integer(fields, 3, 1)];
  if (!type) throw malformed("tokenizer.model has a piece of an unknown type");
  const stored = bytes(fields, 2);
  const score = stored?.length === 4 ? new DataView(stored.buffer, stored.byteOffset, 4).getFloat32(0, true) : 0;
  if (!Number.isFinite(score)) throw malformed(`tokenizer.model has a piece whose score is ${score}`);
  return { text: text(fields, 1, ""), score, type };
}

/** The last field of a number counts, as in protocol buffers. */
function last(fields: readonly ProtobufField[], number: number): number | Uint8Array | undefined {
  return fields.findLast((field) => field.number === number)?.value;
}

function integer(fields: readonly ProtobufField[], number: number, fallback: number): number {
  const value = last(fields, number);
  return typeof value === "number" ? value : fallback;
}

function bytes(fields: readonly ProtobufField[], number: number): Uint8Array | undefined {
  const value = last(fields, number);
  return value instanceof Uint8Array ? value : undefined;
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

function text(fields: readonly ProtobufField[], number: number, fallback: string): string {
  const value = bytes(fields, number);
  return value ? utf8.decode(value) : fallback;
}

/** Negative numbers are stored as 64-bit ones. */
function isNegative(value: number): boolean {
  return value >= 2 ** 31;
}
