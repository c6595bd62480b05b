/** The tokens of a model and their ids. */
import { SluiceError } from "../../errors.ts";
import { show } from "../../show.ts";
import { isObject, type JsonObject } from "../json.ts";

/** Ids are kept in maps, never as indices: a file may name any of them. */
export class Vocabulary {
  readonly idOf: ReadonlyMap<string, number>;
  /** The number of entries, of which two may have one text. */
  readonly size: number;
  readonly #reverse: () => ReadonlyMap<number, string>;
  #tokenOf: ReadonlyMap<number, string> | undefined;

  /** @param reverse the same by ids; by default made at its first use */
  constructor(idOf: ReadonlyMap<string, number>, reverse?: ReadonlyMap<number, string>) {
    this.idOf = idOf;
    this.size = reverse?.size ?? idOf.size;
    this.#reverse = () => reverse ?? new Map(Array.from(idOf, ([token, id]) => [id, token]));
  }

  tokenOf(id: number): string | undefined {
    this.#tokenOf ??= this.#reverse();
    return this.#tokenOf.get(id);
  }
}

/**
 * Reads a vocabulary that maps tokens to ids.
 * @param what its origin, for errors
 * @throws SluiceError `bad_file` if it is something else, or an id is not a whole number from 0 to 2^31 - 1
 */
export function readVocabulary(vocab: unknown, what: string): Vocabulary {
  const idOf = new Map<string, number>();
  if (isObject(vocab)) {
    // Object.keys also lists "__proto__" and "constructor" from JSON.parse: they are tokens like others.
    for (const token of Object.keys(vocab)) {
      const id = vocab[token];
      if (!isTokenId(id)) throw malformed(`${what}: ${show(token)} has the id ${show(id)}`);
      idOf.set(token, id);
    }
  }
  if (idOf.size === 0) throw malformed(`${what} is missing or empty`);
  return new Vocabulary(idOf);
}

/** True for a whole number from 0 to 2^31 - 1. */
export function isTokenId(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}

/**
 * A switch, off unless it is set.
 * @param name of the field in messages; default: as one of `model`
 * @throws SluiceError `bad_file` if it is neither true nor false
 */
export function readSwitch(config: JsonObject, field: string, name = `\`model.${field}\``): boolean {
  const value = config[field] ?? false;
  if (typeof value === "boolean") return value;
  throw malformed(`${name} is ${show(value)}, neither true nor false`);
}

/** The error of a tokenizer file that is damaged or contradicts itself. */
export function malformed(what: string, cause?: unknown): SluiceError {
  return new SluiceError("bad_file", `The tokenizer cannot be read: ${what}`, {
    hint: "Download the file again, or give the prompt as token ids instead of text.",
    cause,
  });
}

/** The error for text that the vocabulary cannot represent. */
export function noToken(text: string): SluiceError {
  return new SluiceError("bad_tokens", `The tokenizer has no token for ${show(text)}`, {
    hint: "The vocabulary lacks this text and has no unknown token: change the text, or give token ids.",
  });
}

export interface TokenizerModel {
  readonly vocabulary: Vocabulary;
  /**
   * Adds the ids of one piece to a list. Text without a token becomes the unknown token, or is dropped if the model is a
   * BPE without one, as in the Rust library.
   * @param text not empty, without lone surrogates
   * @throws SluiceError `bad_tokens` for text without a token, in models that neither drop it nor have an unknown
   */
  encode(text: string, ids: number[]): void;
}
