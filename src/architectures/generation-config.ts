/**
 * generation_config.json: what ends a text, and the makers' sampling settings. Read tolerantly: an unusable setting is
 * ignored with a notice, since the model runs without it.
 */
import { SluiceError } from "../errors.ts";
import { type FileSource, readJson } from "../formats/source.ts";
import { MIN_TEMPERATURE, REPETITION_PENALTIES } from "../kernels/sample/sample.ts";
import type { ModelConfig } from "../model-config.ts";
import { show } from "../show.ts";
import { ConfigFields, type Notice } from "./config-fields.ts";

/** What a model's makers recommend, as options of `generate`. Settings not given are absent. */
export interface GenerationDefaults {
  /** 0 for greedy decoding. */
  readonly temperature?: number;
  /** Draw only from this many likeliest tokens. */
  readonly topK?: number;
  /** Nucleus sampling: the likeliest tokens whose probabilities sum to this share, from 0 to 1. */
  readonly topP?: number;
  /** Only tokens at least this share as probable as the likeliest one, from 0 to 1. */
  readonly minP?: number;
  /** Factor that makes tokens that occurred less likely; 1 changes nothing. */
  readonly repetitionPenalty?: number;
  /** Maximum number of new tokens per continuation. */
  readonly maxNewTokens?: number;
  /** Texts that end the generation. */
  readonly stop?: readonly string[];
}

export interface GenerationConfig {
  /** Ids that end a text; null if the file names none, so that config.json's apply. */
  readonly eos_token_ids: readonly number[] | null;
  readonly defaults: GenerationDefaults;
}

const NOTHING: GenerationConfig = { eos_token_ids: null, defaults: {} };

/** transformers keeps the 50 likeliest tokens if a file samples without a number. */
const TOP_K_UNSAID = 50;

/** Maximum bytes; the largest known files have a few kB. */
const MAX_BYTES = 1_000_000;

/**
 * Reads the file if it exists.
 * @param note receives notices about unusable settings
 */
export async function loadGenerationConfig(
  files: FileSource,
  config: ModelConfig,
  note: Notice,
  signal?: AbortSignal,
): Promise<GenerationConfig> {
  const path = "generation_config.json";
  if (!(await files.exists(path, signal))) return NOTHING;
  try {
    const json = await readJson(files, path, signal, MAX_BYTES);
    return readGenerationConfig(json, files.describe(path), config.vocab_size, note);
  } catch (error) {
    if (!(error instanceof SluiceError) || (error.code !== "bad_file" && error.code !== "bad_config")) throw error;
    note(`${error.message}\n  The model runs without the file's defaults.`);
    return NOTHING;
  }
}

/**
 * @param json the parsed generation_config.json
 * @param label names the file in notices
 * @param vocabulary number of token ids, from config.json
 * @throws `bad_config` for anything but an object of fields
 */
export function readGenerationConfig(
  json: unknown,
  label: string,
  vocabulary: number,
  note: Notice = () => undefined,
): GenerationConfig {
  const fields = new ConfigFields(json, label, note);
  return { eos_token_ids: fields.tokens("eos_token_id", vocabulary) ?? null, defaults: readDefaults(fields) };
}

function readDefaults(fields: ConfigFields): GenerationDefaults {
  /** A valid number, or undefined. */
  const number = (name: string, holds: (value: number) => boolean): number | undefined => {
    const value = fields.raw(name);
    if (value === undefined) return undefined;
    if (typeof value === "number" && Number.isFinite(value) && holds(value)) return value;
    noteIgnored(fields, name, value);
    return undefined;
  };
  const share = (value: number): boolean => value >= 0 && value <= 1;
  const temperature = number("temperature", (value) => value === 0 || value >= MIN_TEMPERATURE);
  // vLLM writes -1 for no bound.
  const topK = number("top_k", (value) => Number.isSafeInteger(value) && value >= -1);
  const topP = number("top_p", share);
  const minP = number("min_p", share);
  const repetitionPenalty = number("repetition_penalty", (value) => {
    return value >= REPETITION_PENALTIES.least && value <= REPETITION_PENALTIES.most;
  });
  const maxNewTokens = number("max_new_tokens", (value) => Number.isSafeInteger(value) && value > 0);
  const stop = stopStrings(fields);
  const said = fields.raw("do_sample");
  const doSample = typeof said === "boolean" ? said : undefined;
  if (said !== doSample) noteIgnored(fields, "do_sample", said);
  const sampling =
    (doSample ?? [temperature, topK, topP, minP].some((value) => value !== undefined))
      ? defined({ temperature: temperature ?? 1, topK: Math.max(0, topK ?? TOP_K_UNSAID), topP, minP })
      : defined({ temperature: doSample === false ? 0 : undefined });
  return { ...sampling, ...defined({ repetitionPenalty, maxNewTokens, stop }) };
}

function noteIgnored(fields: ConfigFields, name: string, value: unknown): void {
  fields.note(`${fields.label}: ${name} ${show(value)} is ignored: the value is not allowed`);
}

/** Texts that each token's text is compared with: no maker names a hundred. */
const MOST_STOPS = 1000;
/** Characters of all of them. */
const LONGEST_STOPS = 100_000;

function stopStrings(fields: ConfigFields): readonly string[] | undefined {
  const name = "stop_strings";
  const value = fields.raw(name);
  if (value === undefined) return undefined;
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value];
  const isUsable = (text: unknown): text is string => typeof text === "string" && text !== "";
  const unusable = texts.find((text) => !isUsable(text));
  if (unusable !== undefined) noteIgnored(fields, name, unusable);
  const usable = texts.filter(isUsable);
  if (usable.length > MOST_STOPS || usable.reduce((sum, { length }) => sum + length, 0) > LONGEST_STOPS) {
    fields.note(
      `${fields.label}: ${name} is ignored: it holds more than ${MOST_STOPS} texts or ${LONGEST_STOPS} characters`,
    );
    return undefined;
  }
  return usable.length > 0 ? usable : undefined;
}

/** Removes settings that are not given. */
function defined<Settings extends object>(
  settings: Settings,
): { [Name in keyof Settings]?: NonNullable<Settings[Name]> } {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as {
    [Name in keyof Settings]?: NonNullable<Settings[Name]>;
  };
}
