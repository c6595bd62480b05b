/**
 * Makes a tokenizer from its files: tokenizer.json, or an equivalent made from others, with the changes of
 * tokenizer_config.json, special_tokens_map.json and added_tokens.json, by the rules of transformers.
 */

import type { ModelConfig } from "../model-config.ts";
import { show } from "../show.ts";
import { AddedTokenList, readAddedToken } from "./added-list.ts";
import { AddedTokens } from "./added-tokens.ts";
import { assembleTokenizer } from "./assembly.ts";
import type { ChatRenderer } from "./chat-template.ts";
import { compileDecoder } from "./decoder.ts";
import { isObject, type JsonObject } from "./json.ts";
import { readModel } from "./models/model.ts";
import { isTokenId, malformed, readSwitch, type TokenizerModel } from "./models/vocabulary.ts";
import { compileNormalizer } from "./normalizer.ts";
import { compilePostProcessor, type PostProcess } from "./post-processor.ts";
import { compilePreTokenizer } from "./pre-tokenizer.ts";
import { withPrefixSpace } from "./prefix-space.ts";
import { collectSpecialTokens, type SpecialTokens } from "./special-tokens.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { classDefaults } from "./tokenizer-class.ts";

export interface TokenizerFiles {
  /** tokenizer.json, or an equivalent made from other files. */
  readonly definition: JsonObject;
  /** Replaces the definition's own model, which is then not read. */
  readonly model?: TokenizerModel;
  /** tokenizer_config.json, or an empty object. */
  readonly config: JsonObject;
  readonly specialTokensMap: JsonObject | null;
  readonly addedTokens: JsonObject | null;
  /** transformers' tokenizer class, without `Fast`; empty for no particular class. */
  readonly className: string;
  /** Adds BOS unless `add_bos_token` says otherwise: for files without a post-processor. */
  readonly addBos: boolean;
}

/**
 * @param chatFor makes the chat templates, given the texts of the special tokens by the names that templates use
 * @throws SluiceError `bad_file` if a file is damaged or needs what is not supported
 */
export async function createTokenizer(
  files: TokenizerFiles,
  model: Pick<ModelConfig, "vocab_size" | "bos_token_id" | "eos_token_ids">,
  chatFor: (specials: Readonly<Record<string, string>>) => Promise<ChatRenderer>,
): Promise<Tokenizer> {
  const { config, className } = files;
  // Fields that decide about ids are never guessed.
  for (const field of ["add_bos_token", "add_eos_token", "add_prefix_space"]) {
    readSwitch(config, field, `\`${field}\` of tokenizer_config.json`);
  }
  const { version = "1.0" } = files.definition;
  if (version !== "1.0") throw malformed(`tokenizer.json is of version ${show(version)}; "1.0" is supported`);
  const definition = withPrefixSpace(files.definition, config.add_prefix_space, className);
  const tokenizerModel = files.model ?? readModel(definition.model);
  const list = readAddedTokens(definition, tokenizerModel);
  const specials = collectSpecialTokens({
    config,
    map: files.specialTokensMap,
    added: files.addedTokens,
    defaults: classDefaults(className),
    hasToken: (content) => list.idOf(content) !== undefined,
  });
  addSpecialTokens(list, specials, model.vocab_size);

  const idOf = (role: string): number | undefined => {
    const content = specials.named.get(role)?.content;
    return content === undefined ? undefined : list.idOf(content);
  };
  const bosTokenId = idOf("bos_token") ?? model.bos_token_id;
  const eosTokenId = idOf("eos_token") ?? model.eos_token_ids[0];
  const normalize = compileNormalizer(definition.normalizer);
  const added = list.tokens();
  const splitter = new AddedTokens(added, normalize);
  return assembleTokenizer({
    model: tokenizerModel,
    added,
    split: (text) => splitter.split(text),
    preTokenize: compilePreTokenizer(definition.pre_tokenizer),
    postProcess: frameOf(files, compilePostProcessor(definition.post_processor), bosTokenId, eosTokenId),
    decoder: compileDecoder(definition.decoder),
    chat: await chatFor(Object.fromEntries([...specials.named].map(([role, { content }]) => [role, content]))),
    bosTokenId,
    eosTokenId,
  });
}

function readAddedTokens(definition: JsonObject, model: TokenizerModel): AddedTokenList {
  const listed = definition.added_tokens ?? [];
  if (!Array.isArray(listed)) throw malformed("`added_tokens` is not a list");
  const list = new AddedTokenList(model.vocabulary);
  listed.forEach((token: unknown, index) => {
    if (!isObject(token)) throw malformed(`\`added_tokens[${index}]\` is not an object`);
    const { id } = token;
    if (id !== undefined && !isTokenId(id)) throw malformed(`\`added_tokens[${index}]\` has the id ${show(id)}`);
    list.add(readAddedToken(token, `\`added_tokens[${index}]\``));
  });
  return list;
}

/** A token that no file lists is added, unless the model has no row for it: then it could not be run. */
function addSpecialTokens(list: AddedTokenList, specials: SpecialTokens, vocabularySize: number): void {
  for (const token of specials.added) {
    if (list.idOf(token.content) !== undefined || list.nextId() < vocabularySize) list.add(token);
  }
  for (const token of [...specials.named.values(), ...specials.extra]) {
    if (list.has(token.content)) continue;
    if (list.idOf(token.content) !== undefined || list.nextId() < vocabularySize) list.add(token);
  }
}

/**
 * The tokens around a text. `add_bos_token` and `add_eos_token`, if tokenizer_config.json states one, replace the
 * post-processor, as in transformers 4; transformers 5 ignores them if there is a tokenizer.json.
 */
function frameOf(
  { config, addBos: defaultBos }: TokenizerFiles,
  postProcess: PostProcess,
  bos: number | undefined,
  eos: number | undefined,
): PostProcess {
  const addBos = typeof config.add_bos_token === "boolean" ? config.add_bos_token : defaultBos || undefined;
  const addEos = typeof config.add_eos_token === "boolean" ? config.add_eos_token : undefined;
  if (addBos === undefined && addEos === undefined) return postProcess;
  // Settings not stated stay as in the post-processor.
  const TEXT = -1;
  const framed = postProcess([TEXT], true);
  const at = framed.indexOf(TEXT);
  const before = (addBos ?? framed.slice(0, at).includes(bos ?? TEXT)) ? bos : undefined;
  const after = (addEos ?? framed.slice(at + 1).includes(eos ?? TEXT)) ? eos : undefined;
  return (ids, withSpecials) => {
    if (!withSpecials) return [...ids];
    return [...(before === undefined ? [] : [before]), ...ids, ...(after === undefined ? [] : [after])];
  };
}
