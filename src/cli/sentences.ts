/** Labelled sentences from files: lines of text, JSON lines, or a column of a table. */
import { SluiceError } from "../errors.ts";
import { show, showText } from "../show.ts";
import { encodePrompt } from "./commands/prompt.ts";
import type { CommandContext, LoadedModel } from "./context.ts";
import { parseCsv } from "./csv.ts";
import { type Document, readLines, readTextFile } from "./documents.ts";
import { input, name, optional, required, wholeNumber } from "./options.ts";

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

export interface ClassChoice {
  readonly positive: string;
  readonly negative: string;
  readonly textColumn: string | undefined;
  readonly labelColumn: string | undefined;
}

export interface LabelledDocuments {
  readonly positive: readonly Document[];
  readonly negative: readonly Document[];
}

/** @throws SluiceError `not_found`, `bad_file` naming the line or column, `usage` for column names without a table */
export async function readClasses(choice: ClassChoice, { signal }: CommandContext): Promise<LabelledDocuments> {
  const { textColumn, labelColumn } = choice;
  const isTable = (path: string): boolean => path.toLowerCase().endsWith(".csv");
  if ((textColumn !== undefined || labelColumn !== undefined) && ![choice.positive, choice.negative].some(isTable)) {
    throw new SluiceError("usage", "a column was named, but neither file is a .csv", {
      hint: "Leave --text-column and --label-column out.",
    });
  }
  const read = async (path: string, label: boolean): Promise<readonly Document[]> => {
    if (!isTable(path)) return readLines(path, "sentence", signal);
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
  const rows = parseCsv(content, path);
  for (const column of [textColumn, labelColumn]) {
    if (column === undefined || rows.length === 0 || rows[0]?.has(column)) continue;
    throw new SluiceError("bad_file", `${path} has no column ${show(column)}`, {
      hint: `Its columns are ${showText([...(rows[0]?.keys() ?? [])].join(", "), 400)}.`,
    });
  }
  const own =
    labelColumn === undefined ? rows : rows.filter((row) => isPositive(row.get(labelColumn) ?? "", path) === label);
  const sentences = own.map((row) => row.get(textColumn) ?? "").filter((sentence) => sentence.trim() !== "");
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
