/**
 * Which tokens are special and which are added, by the rules of transformers 5: from tokenizer_config.json, and from
 * special_tokens_map.json and added_tokens.json if the former has no `added_tokens_decoder`.
 */
import { type AddedTokenSpec, readAddedToken } from "./added-list.ts";
import { isObject, type JsonObject } from "./json.ts";
import { isTokenId, malformed } from "./models/vocabulary.ts";
import type { ClassDefaults } from "./tokenizer-class.ts";

export interface SpecialTokens {
  /** By the name that templates use: `bos_token`, `eos_token`, … */
  readonly named: ReadonlyMap<string, AddedTokenSpec>;
  /** Further special tokens, without a name. */
  readonly extra: readonly AddedTokenSpec[];
  /** Tokens that the files add, special or not, in the order of their stated ids. */
  readonly added: readonly AddedTokenSpec[];
}

export interface SpecialTokenFiles {
  /** tokenizer_config.json, or an empty object. */
  readonly config: JsonObject;
  /** special_tokens_map.json */
  readonly map: JsonObject | null;
  /** added_tokens.json: texts and ids. */
  readonly added: JsonObject | null;
  readonly defaults: ClassDefaults;
  /** Whether the tokenizer already has this token. */
  readonly hasToken: (content: string) => boolean;
}

const ROLES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/** @throws SluiceError `bad_file` for tokens that are malformed */
export function collectSpecialTokens({ config, map, added, defaults, hasToken }: SpecialTokenFiles): SpecialTokens {
  const isModern = isObject(config.added_tokens_decoder);
  // Object.entries, not a spread: a file may name "__proto__".
  const fields = new Map(Object.entries(config));
  const extra: unknown[] = [...listOf(config.extra_special_tokens), ...listOf(config.additional_special_tokens)];
  if (!isModern && map) {
    for (const [name, value] of Object.entries(map)) fields.set(name, value);
    extra.push(...listOf(map.extra_special_tokens), ...listOf(map.additional_special_tokens));
  }
  const named = new Map<string, AddedTokenSpec>();
  const name = (role: string, value: unknown, what: string): void => {
    if (value !== null && value !== undefined) named.set(role, readAddedToken(value, what, true));
  };
  // A token set to null does not exist; one left out is the class's own, if the vocabulary has it.
  for (const role of ROLES) {
    const fallback = defaults.tokens[role];
    if (fields.has(role)) name(role, fields.get(role), `\`${role}\``);
    else if (fallback !== undefined && hasToken(fallback)) name(role, fallback, role);
  }
  for (const [role, value] of fields) {
    if (!ROLES.includes(role) && role.endsWith("_token") && isTokenText(value)) name(role, value, `\`${role}\``);
  }
  if (isObject(config.extra_special_tokens)) {
    for (const [role, value] of Object.entries(config.extra_special_tokens))
      name(role, value, "`extra_special_tokens`");
  }
  const specials = extra.map((token) => readAddedToken(token, "`additional_special_tokens`", true));
  const names = new Set([...named.values(), ...specials].map(({ content }) => content));
  return {
    named,
    extra: specials,
    added: isModern ? readDecoder(config.added_tokens_decoder as JsonObject, named) : readAddedFile(added, names),
  };
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** `add_bos_token` and the like are switches, not tokens. */
function isTokenText(value: unknown): boolean {
  return typeof value === "string" || (isObject(value) && typeof value.content === "string");
}

/** `added_tokens_decoder`: tokens by their ids. */
function readDecoder(decoder: JsonObject, named: SpecialTokens["named"]): AddedTokenSpec[] {
  const roles = new Set([...named.values()].map(({ content }) => content));
  return byId(Object.entries(decoder).map(([id, token]) => [Number(id), token])).map((value) => {
    const token = readAddedToken(value, "`added_tokens_decoder`");
    return roles.has(token.content) ? { ...token, special: true } : token;
  });
}

/** added_tokens.json: ids by their texts. */
function readAddedFile(added: JsonObject | null, special: ReadonlySet<string>): AddedTokenSpec[] {
  return byId(Object.entries(added ?? {}).map(([content, id]) => [id, content])).map((content) =>
    readAddedToken(content, "added_tokens.json", special.has(content as string)),
  );
}

function byId(entries: readonly (readonly [unknown, unknown])[]): unknown[] {
  for (const [id] of entries) if (!isTokenId(id)) throw malformed("an added token's id is not a whole number");
  return [...(entries as [number, unknown][])].sort(([a], [b]) => a - b).map(([, token]) => token);
}
