/** Added tokens: texts that are found before any other step reads the text, and their ids. */
import { show } from "../show.ts";
import type { AddedToken } from "./added-tokens.ts";
import { isObject } from "./json.ts";
import { malformed, type Vocabulary } from "./models/vocabulary.ts";

/** An added token without its id. */
export type AddedTokenSpec = Omit<AddedToken, "id">;

/**
 * Reads an added token from a file.
 * @param what where it is, for errors
 * @param special the default if the file does not say
 * @throws SluiceError `bad_file`
 */
export function readAddedToken(value: unknown, what: string, special = false): AddedTokenSpec {
  if (typeof value === "string") return { ...plainToken(value), special, normalized: !special };
  if (!isObject(value) || typeof value.content !== "string")
    throw malformed(`${what} is ${show(value)}, which has no \`content\``);
  const flag = (field: "special" | "single_word" | "lstrip" | "rstrip" | "normalized", fallback: boolean): boolean => {
    const set = value[field] ?? fallback;
    if (typeof set === "boolean") return set;
    throw malformed(`${what} has \`${field}\` ${show(set)}, neither true nor false`);
  };
  const isSpecial = flag("special", special);
  return {
    content: value.content,
    special: isSpecial,
    single_word: flag("single_word", false),
    lstrip: flag("lstrip", false),
    rstrip: flag("rstrip", false),
    normalized: flag("normalized", !isSpecial),
  };
}

function plainToken(content: string): AddedTokenSpec {
  return { content, special: false, single_word: false, lstrip: false, rstrip: false, normalized: true };
}

/** The added tokens of a tokenizer being collected, with the ids that the Rust library gives them. */
export class AddedTokenList {
  readonly #vocabulary: Vocabulary;
  readonly #tokens = new Map<number, AddedTokenSpec>();
  readonly #ids = new Map<string, number>();
  readonly #specials = new Set<string>();
  #greatest = -1;

  constructor(vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
  }

  has(content: string): boolean {
    return this.#ids.has(content);
  }

  /** The id of a token, added or of the model. */
  idOf(content: string): number | undefined {
    return this.#ids.get(content) ?? this.#vocabulary.idOf.get(content);
  }

  /** The id that a token would get. */
  nextId(): number {
    return Math.max(this.#greatest + 1, this.#vocabulary.size);
  }

  /**
   * Adds a token, or changes the flags of an existing one. A token of the model keeps its id; others count up from
   * the size of the vocabulary, whatever id the file gives them.
   */
  add(token: AddedTokenSpec): void {
    const { content } = token;
    if (content === "") return;
    const id = this.idOf(content) ?? this.nextId();
    this.#ids.set(content, id);
    this.#tokens.set(id, token);
    this.#greatest = Math.max(this.#greatest, id);
    if (token.special) this.#specials.add(content);
  }

  /** In the order of addition. A token that was special once stays special. */
  tokens(): readonly AddedToken[] {
    return [...this.#tokens].map(([id, token]) => ({ ...token, special: this.#specials.has(token.content), id }));
  }
}
