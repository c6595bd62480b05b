/** Labelled sentences from files: lines of text, JSON lines, or a column of a table. */
import { SluiceError } from "../errors.ts";
import { isTokenName } from "../fit/sentences.ts";
import type { Sentence, SentenceOptions, TokenChoice } from "../index.ts";
import { show, showText } from "../show.ts";
import { encodePrompt } from "./commands/prompt.ts";
import type { CommandContext, LoadedModel } from "./context.ts";
import { parseCsv } from "./csv.ts";
import { defined } from "./defined.ts";
import { type Conversation, type Document, readConversations, readLines, readTextFile } from "./documents.ts";
import { flag, input, name, optional, type Parser, required, wholeNumber } from "./options.ts";

export const classOptions = {
  positive: input(required("FILE", "Sentences of the class: one per line, .jsonl with text or tokens, or .csv", name)),
  negative: input(required("FILE", "Sentences of the other class, likewise", name)),
  textColumn: optional("NAME", "The column of a .csv file that holds the sentences (default text)", name),
  labelColumn: optional(
    "NAME",
    "The column of a .csv file that holds the class: from either file only rows of its own class are taken",
    name,
  ),
  maxTokens: optional("N", "Take only the first N tokens of each sentence", wholeNumber(1)),
};

const tokenChoice: Parser<TokenChoice> = (given, option) => {
  if (isTokenName(given)) return given;
  const index = /^[+-]?\d{1,9}$/.test(given) ? Number(given) : Number.NaN;
  if (Number.isSafeInteger(index)) return index;
  throw new SluiceError("usage", `${option}: "${showText(given, 60)}" names no token`, {
    hint: "Write an index (-1 is the last token, 0 the first), mean:5 for the mean of the last five, or last-instruction.",
  });
};

/** How a fit reads its sentences. */
export const readingOptions = {
  chat: flag(
    "Sentences are conversations, laid out by the model's chat template: .jsonl with messages per line, or texts, each the " +
      "user's only message",
  ),
  token: optional(
    "TOKEN",
    "What is read of each sentence: an index such as -1 (the last) or 0; mean:K, the mean of the last K tokens; or, with " +
      "--chat, last-instruction, the last token of the user's last message",
    tokenChoice,
  ),
};

/** Options of fits from two classes. */
export const fitClassOptions = { ...classOptions, ...readingOptions };

export interface ReadingChoice {
  readonly chat: boolean;
  readonly token: TokenChoice | undefined;
  readonly maxTokens: number | undefined;
}

/** @throws SluiceError `usage` for a token that only conversations have */
export function checkReading({ chat, token }: Pick<ReadingChoice, "chat" | "token">): void {
  if (token !== "last-instruction" || chat) return;
  throw new SluiceError("usage", "--token last-instruction is a token of conversations", {
    hint: "Add --chat, or read another token.",
  });
}

/** Sentences for a fit: ids, cut; conversations are left to the library. */
export function sentencesFor(
  model: LoadedModel,
  documents: readonly (Document | Conversation)[],
  { chat, maxTokens }: ReadingChoice,
): readonly Sentence[] {
  return chat ? documents : encodeAll(model, documents as readonly Document[], maxTokens);
}

/** The library's options of {@link sentencesFor}'s sentences. */
export function readingOf({ chat, token, maxTokens }: ReadingChoice): SentenceOptions {
  return { ...defined({ token }), ...(chat && { chat, ...defined({ maxTokens }) }) };
}

export interface ClassChoice {
  /** Whether sentences are conversations; absent in commands that read none. */
  readonly chat?: boolean;
  readonly positive: string;
  readonly negative: string;
  readonly textColumn: string | undefined;
  readonly labelColumn: string | undefined;
}

export interface LabelledDocuments<Item> {
  readonly positive: readonly Item[];
  readonly negative: readonly Item[];
}

/** @throws SluiceError `not_found`, `bad_file` naming the line or column, `usage` for column names without a table */
export function readClasses(
  choice: ClassChoice & { readonly chat?: false },
  context: CommandContext,
): Promise<LabelledDocuments<Document>>;
export function readClasses(
  choice: ClassChoice,
  context: CommandContext,
): Promise<LabelledDocuments<Document | Conversation>>;
export async function readClasses(
  choice: ClassChoice,
  { signal }: CommandContext,
): Promise<LabelledDocuments<Document | Conversation>> {
  const { textColumn, labelColumn } = choice;
  const isTable = (path: string): boolean => path.toLowerCase().endsWith(".csv");
  if ((textColumn !== undefined || labelColumn !== undefined) && ![choice.positive, choice.negative].some(isTable)) {
    throw new SluiceError("usage", "a column was named, but neither file is a .csv", {
      hint: "Leave --text-column and --label-column out.",
    });
  }
  const read = async (path: string, label: boolean): Promise<readonly (Document | Conversation)[]> => {
    if (!isTable(path)) return (choice.chat ? readConversations : readLines)(path, "sentence", signal);
    return sentencesOf(await readTextFile(path, signal), path, label, choice);
  };
  return { positive: await read(choice.positive, true), negative: await read(choice.negative, false) };
}

function sentencesOf(
  content: string,
  path: string,
  label: boolean,
  { textColumn = "text", labelColumn }: ClassChoice,
): readonly string[] {
  const wanted = labelColumn === undefined ? [textColumn] : [textColumn, labelColumn];
  const { names, rows, columns } = parseCsv(content, path, wanted);
  const missing = wanted.find((column) => rows > 0 && !columns.has(column));
  if (missing !== undefined) {
    throw new SluiceError("bad_file", `${path} has no column ${show(missing)}`, {
      hint: `Its columns are ${showText(names.slice(0, 100).join(", "), 400)}.`,
    });
  }
  const texts = columns.get(textColumn) ?? [];
  const labels = labelColumn === undefined ? undefined : columns.get(labelColumn);
  const own = labels ? texts.filter((_, i) => isPositive(labels[i] ?? "", path) === label) : texts;
  const sentences = own.filter((sentence) => sentence.trim() !== "");
  if (sentences.length > 0) return sentences;
  throw new SluiceError("bad_file", `${path} holds no sentence of the ${label ? "positive" : "negative"} class`);
}

/** 1, true, yes, positive, or a score of at least ½. */
function isPositive(label: string, path: string): boolean {
  const given = label.trim().toLowerCase();
  if (["true", "yes", "positive"].includes(given)) return true;
  if (["false", "no", "negative"].includes(given)) return false;
  const score = Number(given);
  if (given !== "" && Number.isFinite(score)) return score >= 0.5;
  throw new SluiceError("bad_file", `${path}: ${show(label)} is not a label`, {
    hint: "Labels are 1 or 0, true or false, yes or no, positive or negative, or a score from 0 to 1.",
  });
}

/**
 * Token ids of sentences: ids exactly as given; text with the special tokens that the tokenizer adds.
 * @param maxTokens tokens to keep of each sentence
 */
export function encodeAll(
  model: LoadedModel,
  documents: readonly Document[],
  maxTokens: number | undefined,
): readonly (readonly number[])[] {
  return documents.map((document) => encodePrompt(model, document).slice(0, maxTokens));
}
