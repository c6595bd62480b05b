/** A tokenizer for callers: it checks their arguments once. */
import { entry, options } from "../arguments/entry.ts";
import { fields, needed } from "../arguments/fields.ts";
import { isOptions, listOf, tokens } from "../arguments/lists.ts";
import { either, type Rule, test } from "../arguments/rule.ts";
import { callback, flag, text, whole } from "../arguments/rules.ts";
import type {
  ChatMessage,
  ChatTemplateOptions,
  DecodeOptions,
  EncodeOptions,
  StreamOptions,
  TextStream,
  Tokenizer,
} from "./tokenizer.ts";

/** The checked fields of a message; templates may read further fields. */
interface Message {
  readonly role: string;
  readonly content?: NonNullable<ChatMessage["content"]> | null;
}

/** An object; its fields are read here, once. */
const plain: Rule<Readonly<Record<string, unknown>>> = {
  ...test<Readonly<Record<string, unknown>>>("an object", isOptions),
  read(value, place) {
    if (!isOptions(value)) throw place.refuse(value, this.takes);
    return { ...value };
  },
};
const skipSpecialTokens = flag;

/** A conversation. */
export const chatMessages = listOf(
  fields<Message>("a message { role, content }", "kept")({ role: needed(text), content: anyContent() }),
);

export const tokenizerDoors = {
  encode: entry(
    "encode",
    ["text", text],
    options(
      fields<EncodeOptions>()({ addSpecialTokens: flag, onNotice: callback<NonNullable<EncodeOptions["onNotice"]>>() }),
    ),
  ),
  decode: entry("decode", ["ids", tokens], options(fields<DecodeOptions>()({ skipSpecialTokens }))),
  stream: entry("stream", options(fields<StreamOptions>()({ skipSpecialTokens, context: tokens }))),
  tokenBytes: entry("tokenBytes", ["id", whole({ least: 0 })]),
  push: entry("stream.push", ["token", whole({ least: 0 })]),
  applyChatTemplate: entry(
    "applyChatTemplate",
    ["messages", chatMessages],
    options(
      fields<ChatTemplateOptions>()({
        addGenerationPrompt: flag,
        continueFinalMessage: either(flag, text),
        tools: listOf(plain),
        documents: listOf(plain),
        variables: plain,
        template: text,
        now: callback<() => Date>(),
      }),
    ),
  ),
};

/** Holes of a list, which `every` passes over one by one, are parts too. */
function isEach(list: readonly unknown[], holds: (part: unknown) => boolean): boolean {
  return list.findIndex((part) => !holds(part)) < 0;
}

/** Any content that a chat can have; the template decides what it accepts. */
function anyContent() {
  return test<NonNullable<ChatMessage["content"]> | null>("a text, a list of parts or null", (value) =>
    value === null || typeof value === "string" || (Array.isArray(value) && isEach(value, isOptions)));
}

/** Every member, so that a new member of the interface is not forgotten here. */
type Members = { readonly [K in keyof Required<Tokenizer>]: Tokenizer[K] | undefined };

export function checkedTokenizer(tokenizer: Tokenizer): Tokenizer {
  const members: Members = {
    encode: (...given) => tokenizer.encode(...tokenizerDoors.encode.read(given[0], given[1])),
    decode: (...given) => tokenizer.decode(...tokenizerDoors.decode.read(given[0], given[1])),
    stream: (given) => checkedStream(tokenizer.stream(...tokenizerDoors.stream.read(given))),
    applyChatTemplate: (...given) =>
      tokenizer.applyChatTemplate(...tokenizerDoors.applyChatTemplate.read(given[0], given[1])),
    tokenBytes: tokenizer.tokenBytes && ((id) => tokenizer.tokenBytes?.(...tokenizerDoors.tokenBytes.read(id))),
    bosTokenId: tokenizer.bosTokenId,
    eosTokenId: tokenizer.eosTokenId,
    vocabSize: tokenizer.vocabSize,
    specialTokens: tokenizer.specialTokens,
  };
  // Absent optional members stay absent.
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as unknown as Tokenizer;
}

function checkedStream(stream: TextStream): TextStream {
  return {
    push: (token) => stream.push(...tokenizerDoors.push.read(token)),
    end: () => stream.end(),
  };
}
