/**
 * tokenizer.json and tokenizer_config.json of the tokenizer in a GGUF file. A byte-level BPE has its words cut as
 * `tokenizer.ggml.pre` says; a SentencePiece model has scores, from which its merges follow.
 */
import { SluiceError } from "../../errors.ts";
import { show } from "../../show.ts";
import { MAX_NESTING, nesting } from "../json.ts";
import { mergesById, mergesByScore, type Piece } from "../piece-merges.ts";
import type { Metadata } from "./metadata.ts";
import { PRE_TOKENIZERS, type PreTokenizer } from "./pre-tokenizers.ts";
import { hasTokenizer, specialIds, TOKEN_TYPES } from "./special-ids.ts";
import type { Texts } from "./value.ts";

type Json = Readonly<Record<string, unknown>>;

/**
 * What tokenizer.json holds; undefined for a file without a vocabulary.
 * @param rows of the embedding, which may be more than there are tokens
 * @throws `bad_file` for a kind of tokenizer that is not supported, or one that is damaged
 */
export function tokenizerJson(metadata: Metadata, arch: string, rows: number): unknown {
  // Some writers add the tokenizer.json of the model that they read.
  const whole = metadata.text("tokenizer.huggingface.json");
  if (whole !== undefined) return parse(whole, metadata);
  if (!hasTokenizer(metadata)) return undefined;
  const vocabulary = readVocabulary(metadata, rows);
  const kind = metadata.text("tokenizer.ggml.model");
  if (kind === "gpt2") return byteLevelBpe(metadata, vocabulary, preTokenizerOf(metadata, arch));
  if (kind === "llama") return sentencePiece(metadata, vocabulary);
  throw unsupported(
    metadata,
    `its tokenizer is of the kind ${show(kind)}; gpt2 (BPE) and llama (SentencePiece) are supported`,
  );
}

/** What tokenizer_config.json holds: names of special tokens, what is put around a text, the chat templates. */
export function tokenizerConfig(metadata: Metadata, arch: string): Json {
  if (!hasTokenizer(metadata)) return chatTemplates(metadata);
  const tokens = metadata.texts("tokenizer.ggml.tokens");
  const named: Record<string, unknown> = { bos_token: null, eos_token: null };
  for (const [role, id] of specialIds(metadata)) named[role] = tokens?.at(id);
  const { bos, eos } = frameOf(metadata, arch);
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...named,
    add_bos_token: bos !== undefined,
    add_eos_token: eos !== undefined,
    ...(addsSpace(metadata) && { add_prefix_space: true }),
    clean_up_tokenization_spaces: false,
    ...chatTemplates(metadata),
  };
}

interface Vocabulary {
  readonly tokens: Texts;
  /** One of `TOKEN_TYPES` for each token. */
  typeOf(id: number): number;
  /** Ids by token, without the tokens that fill the embedding up. */
  readonly ids: Readonly<Record<string, number>>;
  readonly added: readonly Json[];
}

function readVocabulary(metadata: Metadata, rows: number): Vocabulary {
  const tokens = metadata.texts("tokenizer.ggml.tokens");
  if (!tokens || tokens.length === 0) throw damaged(metadata, "it has no `tokenizer.ggml.tokens`");
  if (tokens.length > rows) {
    throw damaged(metadata, `it has ${tokens.length} tokens, but the model's embedding has ${rows} rows`);
  }
  const types = metadata.numbers("tokenizer.ggml.token_type");
  if (types && types.length !== tokens.length) {
    throw damaged(metadata, `it has ${tokens.length} tokens but the types of ${types.length}`);
  }
  for (let id = 0; id < (types?.length ?? 0); id++) {
    const type = types?.[id] as number;
    if (Number.isInteger(type) && type >= 0 && type <= TOKEN_TYPES.byte) continue;
    throw damaged(metadata, `token ${id} is of the type ${type}; types are from 0 to ${TOKEN_TYPES.byte}`);
  }
  const typeOf = (id: number): number => types?.[id] ?? TOKEN_TYPES.normal;
  // Without a prototype, so that a token may be called __proto__.
  const ids = Object.create(null) as Record<string, number>;
  const added: Json[] = [];
  for (let id = 0; id < tokens.length; id++) {
    const content = tokens.at(id);
    const type = typeOf(id);
    if (type === TOKEN_TYPES.unused && content === `[PAD${id}]`) continue;
    ids[content] = id;
    const special = type === TOKEN_TYPES.control || type === TOKEN_TYPES.unknown;
    if (special || type === TOKEN_TYPES.userDefined) {
      added.push({ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special });
    }
  }
  return { tokens, typeOf, ids, added };
}

function byteLevelBpe(metadata: Metadata, { ids, added }: Vocabulary, pre: PreTokenizer): Json {
  const merges = metadata.texts("tokenizer.ggml.merges");
  if (!merges) throw damaged(metadata, "it has no `tokenizer.ggml.merges`");
  return {
    version: "1.0",
    added_tokens: added,
    normalizer: pre.normalizer ?? null,
    pre_tokenizer: addsSpace(metadata) ? withSpace(pre.steps) : pre.steps,
    post_processor: postProcessor(metadata, pre.addBos),
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      ...BPE_FIELDS,
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoreMerges === true,
      vocab: ids,
      merges: merges.all(),
    },
  };
}

/** Fields that readers of tokenizer.json expect in every BPE. */
const BPE_FIELDS = { dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null };

/** Byte-level steps with a space before each text. */
function withSpace(steps: Json): Json {
  if (steps.type === "ByteLevel") return { ...steps, add_prefix_space: true };
  if (steps.type !== "Sequence") return steps;
  return { ...steps, pretokenizers: (steps.pretokenizers as readonly Json[]).map(withSpace) };
}

function preTokenizerOf(metadata: Metadata, arch: string): PreTokenizer {
  const name = preTokenizerName(metadata, arch);
  const pre = PRE_TOKENIZERS.get(name);
  if (pre) return pre;
  throw unsupported(metadata, `\`tokenizer.ggml.pre\` is ${show(name)}, a way to cut words that is not known`);
}

/** Tokens of Llama 3, whose first files did not name their pre-tokenizer. */
const LLAMA3_TOKENS = 128256;

/** As stated. Files from before the key have the tokenizer of their family. */
function preTokenizerName(metadata: Metadata, arch: string): string {
  const stated = metadata.text("tokenizer.ggml.pre");
  if (stated !== undefined) return stated;
  if (arch === "gpt2") return "gpt-2";
  if (arch === "qwen2") return "qwen2";
  return metadata.texts("tokenizer.ggml.tokens")?.length === LLAMA3_TOKENS ? "llama-bpe" : "default";
}

/** Llama's normaliser and decoder, as its tokenizer.json has them. */
function sentencePiece(metadata: Metadata, vocabulary: Vocabulary): Json {
  const { ids, added, tokens, typeOf } = vocabulary;
  const space = addsSpace(metadata);
  const unknown = specialIds(metadata).get("unk_token");
  const marked = { type: "Replace", pattern: { String: " " }, content: "▁" };
  return {
    version: "1.0",
    added_tokens: added,
    normalizer: space ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, marked] } : marked,
    pre_tokenizer: null,
    post_processor: postProcessor(metadata, true),
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(space ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: "BPE",
      ...BPE_FIELDS,
      unk_token: unknown === undefined ? null : tokens.at(unknown),
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: ids,
      merges: metadata.texts("tokenizer.ggml.merges")?.all() ?? mergesOf(metadata, tokens, typeOf),
    },
  };
}

/** The merges that follow from the scores; from the order of the ids if all scores are alike, as some writers leave them. */
function mergesOf(
  metadata: Metadata,
  tokens: Texts,
  typeOf: (id: number) => number,
): readonly (readonly [string, string])[] {
  const scores = metadata.numbers("tokenizer.ggml.scores");
  if (scores && scores.length !== tokens.length) {
    throw damaged(metadata, `it has ${tokens.length} tokens but the scores of ${scores.length}`);
  }
  const pieces: Piece[] = [];
  for (let id = 0; id < tokens.length; id++) {
    const score = scores?.[id] ?? 0;
    if (!Number.isFinite(score)) throw damaged(metadata, `the score of token ${id} is ${score}`);
    if (typeOf(id) === TOKEN_TYPES.normal) pieces.push({ text: tokens.at(id), id, score });
  }
  const isRanked = pieces.some(({ score }) => score !== pieces[0]?.score);
  return isRanked ? mergesByScore(pieces) : mergesById(pieces);
}

/** Whether a text begins with a space: always for SentencePiece, never for BPE, unless the file says otherwise. */
function addsSpace(metadata: Metadata): boolean {
  const stated = metadata.boolean("tokenizer.ggml.add_space_prefix");
  return stated ?? metadata.text("tokenizer.ggml.model") === "llama";
}

/** The ids put around a text. */
function frameOf(
  metadata: Metadata,
  arch: string,
): { readonly bos: number | undefined; readonly eos: number | undefined } {
  const isPieces = metadata.text("tokenizer.ggml.model") === "llama";
  return frame(metadata, isPieces || PRE_TOKENIZERS.get(preTokenizerName(metadata, arch))?.addBos === true);
}

function frame(
  metadata: Metadata,
  addBos: boolean,
): { readonly bos: number | undefined; readonly eos: number | undefined } {
  const ids = specialIds(metadata);
  return {
    bos: (metadata.boolean("tokenizer.ggml.add_bos_token") ?? addBos) ? ids.get("bos_token") : undefined,
    eos: (metadata.boolean("tokenizer.ggml.add_eos_token") ?? false) ? ids.get("eos_token") : undefined,
  };
}

function postProcessor(metadata: Metadata, addBos = false): Json | null {
  const { bos, eos } = frame(metadata, addBos);
  if (bos === undefined && eos === undefined) return null;
  const tokens = metadata.texts("tokenizer.ggml.tokens");
  const special: Record<string, Json> = {};
  const token = (id: number | undefined): Json[] => {
    if (id === undefined) return [];
    const text = tokens?.at(id) ?? "";
    special[text] = { id: text, ids: [id], tokens: [text] };
    return [{ SpecialToken: { id: text, type_id: 0 } }];
  };
  const text = (id: "A" | "B"): Json => ({ Sequence: { id, type_id: id === "A" ? 0 : 1 } });
  return {
    type: "TemplateProcessing",
    single: [...token(bos), text("A"), ...token(eos)],
    pair: [...token(bos), text("A"), ...token(eos), ...token(bos), text("B"), ...token(eos)],
    special_tokens: special,
  };
}

/** `chat_template` of tokenizer_config.json: one, or several by name. */
function chatTemplates(metadata: Metadata): Json {
  const key = "tokenizer.chat_template";
  const usual = metadata.text(key);
  const named = (metadata.texts("tokenizer.chat_templates")?.all() ?? []).flatMap((name) => {
    const template = metadata.text(`${key}.${name}`);
    return template === undefined ? [] : [{ name, template }];
  });
  if (named.length === 0) return usual === undefined ? {} : { chat_template: usual };
  return { chat_template: [...(usual === undefined ? [] : [{ name: "default", template: usual }]), ...named] };
}

function parse(text: string, metadata: Metadata): unknown {
  if (nesting(text, MAX_NESTING) > MAX_NESTING) {
    throw damaged(metadata, `\`tokenizer.huggingface.json\` is nested more than ${MAX_NESTING} levels deep`);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw damaged(metadata, `\`tokenizer.huggingface.json\` is not valid JSON: ${(cause as Error).message}`);
  }
}

function unsupported({ where }: Metadata, problem: string): SluiceError {
  return new SluiceError("bad_file", `${where}: ${problem}`, {
    hint: "Give the prompt as token ids, or use the folder or id of the model that the file was made from.",
  });
}

function damaged({ where }: Metadata, problem: string): SluiceError {
  return new SluiceError("bad_file", `${where}: the tokenizer cannot be read: ${problem}`, {
    hint: "Download the file again, or give the prompt as token ids instead of text.",
  });
}
