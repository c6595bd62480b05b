/**
 * Tokenizers from tokenizer.json. `@huggingface/tokenizers` encodes; what it leaves out is supplied here:
 * BOS and EOS as tokenizer_config.json asks, special tokens that only that file names, decoding that can be
 * streamed (decoder.ts), and errors that name the file. `clean_up_tokenization_spaces` is not applied: it
 * would edit the model's text (" ." to "."), and transformers ignores it for these tokenizers since version 5.
 */
import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { SluiceError } from "../errors.ts";
import type { ModelConfig } from "../models/config.ts";
import { show } from "../show.ts";
import { type ChatRenderer, specialTokenText } from "./chat-template.ts";
import { compileDecoder } from "./decoder.ts";
import { isObject, type JsonObject } from "./json.ts";
import { decodePieces, type Pieces, streamPieces } from "./pieces.ts";
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";

export interface TokenizerFiles {
  /** tokenizer.json */
  readonly tokenizer: JsonObject;
  /** tokenizer_config.json, or an empty object */
  readonly config: JsonObject;
  readonly chat: ChatRenderer;
}

/** @throws SluiceError `bad_file` if tokenizer.json is damaged or needs what is not supported */
export function createHuggingFaceTokenizer(files: TokenizerFiles, model: ModelConfig): Tokenizer {
  const vocabulary = readVocabulary(files.tokenizer.model);
  const added = readAddedTokens(files, vocabulary);
  const decoder = compileDecoder(files.tokenizer.decoder, new Set(added.map((token) => token.content)));
  const library = construct(files, added);

  const bosTokenId = idOf(files.config.bos_token, library) ?? model.bos_token_id;
  const eosTokenId = idOf(files.config.eos_token, library) ?? model.eos_token_ids[0];
  const encodeWith = (text: string, specials: boolean): number[] => encode(library, text, specials);
  const frame = chooseFrame(files.config, encodeWith, bosTokenId, eosTokenId);

  const specialIds = new Set(added.filter((token) => token.special).map((token) => token.id));
  const pieces: Pieces = {
    bytes(id, first) {
      const token = library.id_to_token(id);
      return token === undefined ? undefined : decoder.bytes(token, first);
    },
    isSpecial: (id) => specialIds.has(id),
    ...(decoder.stripStart ? { stripStart: decoder.stripStart } : {}),
  };

  return {
    encode(text: string, options: EncodeOptions = {}): number[] {
      const specials = options.addSpecialTokens ?? true;
      if (!frame || !specials) return encodeWith(text, specials);
      return [...frame.before, ...encodeWith(text, false), ...frame.after];
    },
    decode: (ids, options) => decodePieces(pieces, ids, options),
    stream: (options) => streamPieces(pieces, options),
    applyChatTemplate: (messages, options) => files.chat.render(messages, options),
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
    ...(eosTokenId === undefined ? {} : { eosTokenId }),
    // Ids may have gaps.
    vocabSize: 1 + [...library.get_vocab().values()].reduce((most, id) => Math.max(most, id), -1),
  };
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** Token to id, as the model of tokenizer.json lists it. */
type Vocabulary = ReadonlyMap<string, number>;

function readVocabulary(model: unknown): Vocabulary {
  if (!isObject(model)) throw damaged("`model` is missing");
  const { vocab } = model;
  // Unigram lists [token, score] in the order of the ids; the others map tokens to ids.
  const entries: [unknown, unknown][] = Array.isArray(vocab)
    ? vocab.map((entry, id) => [Array.isArray(entry) ? entry[0] : undefined, id])
    : isObject(vocab)
      ? Object.entries(vocab)
      : [];
  if (entries.length === 0) throw damaged("`model.vocab` is missing or empty");
  for (const [token, id] of entries) {
    if (typeof token !== "string" || !isId(id)) {
      throw damaged(`\`model.vocab\`: ${show(token)} has the id ${show(id)}`);
    }
  }
  return new Map(entries as [string, number][]);
}

/**
 * The added tokens of tokenizer.json. Those that tokenizer_config.json names as bos_token, eos_token and
 * so on are special even where tokenizer.json does not say so, as transformers has it.
 */
function readAddedTokens({ tokenizer, config }: TokenizerFiles, vocabulary: Vocabulary): AddedToken[] {
  const listed = tokenizer.added_tokens ?? [];
  if (!Array.isArray(listed)) throw damaged("`added_tokens` is not a list");
  const named = namedSpecials(config);
  const added: AddedToken[] = listed.map((token: unknown, index) => {
    if (!isObject(token) || !isId(token.id) || typeof token.content !== "string" || token.content === "") {
      throw damaged(`\`added_tokens[${index}]\` needs an \`id\` and a \`content\``);
    }
    const { id, content } = token;
    return { ...token, id, content, special: token.special === true || named.has(content) };
  });
  const known = new Set(added.map((token) => token.content));
  for (const content of named) {
    const id = vocabulary.get(content);
    if (id !== undefined && !known.has(content)) added.push({ id, content, special: true });
  }
  return added;
}

function namedSpecials(config: JsonObject): Set<string> {
  const fields = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];
  const more = Array.isArray(config.additional_special_tokens) ? config.additional_special_tokens : [];
  const texts = [...fields.map((field) => config[field]), ...more].map(specialTokenText);
  return new Set(texts.filter((text): text is string => text !== undefined && text !== ""));
}

function construct({ tokenizer, config }: TokenizerFiles, added: readonly AddedToken[]): LibraryTokenizer {
  // The library insists on fields that may be left out, and reads nothing else of the config that
  // applies here but the EOS text, which its Unigram model wants.
  const complete = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, ...tokenizer };
  try {
    const library = new LibraryTokenizer({ ...complete, added_tokens: added }, { eos_token: config.eos_token });
    library.encode("a");
    return library;
  } catch (cause) {
    throw damaged((cause as Error).message, cause);
  }
}

function encode(library: LibraryTokenizer, text: string, specials: boolean): number[] {
  const { ids, tokens } = library.encode(text, { add_special_tokens: specials });
  const unknown = (ids as readonly (number | undefined)[]).indexOf(undefined);
  if (unknown < 0) return ids;
  throw new SluiceError("bad_tokens", `The tokenizer has no token for ${show(tokens[unknown])}`, {
    hint: "The vocabulary lacks this text and has no unknown token: change the text, or give token ids.",
  });
}

interface Frame {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

/**
 * What `add_bos_token` and `add_eos_token` ask for. Undefined where tokenizer_config.json states neither:
 * then the post-processor in tokenizer.json decides, which they otherwise replace, as in transformers.
 * Llama's own tokenizer classes add BOS unless told not to.
 */
function chooseFrame(
  config: JsonObject,
  encodeWith: (text: string, specials: boolean) => number[],
  bos: number | undefined,
  eos: number | undefined,
): Frame | undefined {
  const llama = /^(Code)?LlamaTokenizer(Fast)?$/.test(String(config.tokenizer_class)) && bos !== undefined;
  const addBos = typeof config.add_bos_token === "boolean" ? config.add_bos_token : llama ? true : undefined;
  const addEos = typeof config.add_eos_token === "boolean" ? config.add_eos_token : llama ? false : undefined;
  if (addBos === undefined && addEos === undefined) return undefined;
  const plain = encodeWith("a", false);
  const full = encodeWith("a", true);
  const hasBos = full[0] === bos && plain[0] !== bos;
  const hasEos = full.at(-1) === eos && plain.at(-1) !== eos;
  return {
    before: (addBos ?? hasBos) ? [required(bos, "bos")] : [],
    after: (addEos ?? hasEos) ? [required(eos, "eos")] : [],
  };
}

function required(id: number | undefined, name: "bos" | "eos"): number {
  if (id !== undefined) return id;
  throw new SluiceError("bad_file", `tokenizer_config.json sets add_${name}_token, but no ${name}_token is known`, {
    hint: `Name the ${name}_token in tokenizer_config.json, or set add_${name}_token to false.`,
  });
}

function idOf(token: unknown, library: LibraryTokenizer): number | undefined {
  const text = specialTokenText(token);
  return text === undefined ? undefined : library.token_to_id(text);
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 31;
}

function damaged(what: string, cause?: unknown): SluiceError {
  return new SluiceError("bad_file", `tokenizer.json cannot be used: ${what}`, {
    hint: "Fetch the file again, or give the prompt as token ids instead of text.",
    cause,
  });
}
