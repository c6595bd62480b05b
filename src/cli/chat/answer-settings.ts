/** How answers are drawn: by the command line, else the model's generation_config.json, else the defaults. */

import { nearest } from "../../arguments/suggest.ts";
import { SluiceError } from "../../errors.ts";
import type { GenerateOptions, GenerationDefaults } from "../../index.ts";
import { type SamplingChoice, samplingFrom, samplingOptions } from "../commands/sampling.ts";
import type { CommandContext } from "../context.ts";
import { defined } from "../defined.ts";
import { wholeNumber } from "../options.ts";

/** What `/set` can change; each is read like the option of the same name. */
const SETTINGS = {
  temperature: samplingOptions.temperature,
  topK: samplingOptions.topK,
  topP: samplingOptions.topP,
  minP: samplingOptions.minP,
  repetitionPenalty: samplingOptions.repetitionPenalty,
  seed: samplingOptions.seed,
} as const;

type Setting = keyof typeof SETTINGS;

/** The command line's settings; those left out are undefined. */
export interface GivenSettings extends Omit<SamplingChoice, "temperature" | "overflow"> {
  readonly temperature: number | undefined;
  readonly maxNewTokens: number | undefined;
}

/** Longest answer in tokens if neither the command line nor the model says. */
export const DEFAULT_ANSWER_TOKENS = 512;

export class AnswerSettings {
  #choice: SamplingChoice;
  #maxNewTokens: number;
  readonly #context: CommandContext;

  /** @param defaults of the model, from its generation_config.json */
  constructor(given: GivenSettings, defaults: GenerationDefaults, context: CommandContext) {
    const { temperature, topK, topP, minP, repetitionPenalty, seed, stop, stopToken, maxNewTokens } = given;
    // A temperature of 0 takes the likeliest token; the model's cut-offs do not apply.
    const rest = temperature === 0 ? {} : defaults;
    this.#choice = {
      temperature: temperature ?? defaults.temperature ?? 0,
      topK: topK ?? rest.topK,
      topP: topP ?? rest.topP,
      minP: minP ?? rest.minP,
      repetitionPenalty: repetitionPenalty ?? defaults.repetitionPenalty,
      seed,
      stop: [...stop, ...(defaults.stop ?? [])],
      stopToken,
      overflow: undefined,
    };
    this.#maxNewTokens = maxNewTokens ?? defaults.maxNewTokens ?? DEFAULT_ANSWER_TOKENS;
    this.#context = context;
    // Options without effect are noted once, before the first line.
    samplingFrom(this.#choice, context);
  }

  get maxNewTokens(): number {
    return this.#maxNewTokens;
  }

  get isGreedy(): boolean {
    return this.#choice.temperature === 0;
  }

  get stopTokens(): readonly number[] {
    return this.#choice.stopToken;
  }

  /**
   * The settings as the library's options.
   * @param attempt how often this message was answered before: each attempt has its own seed
   */
  options(attempt: number): Omit<GenerateOptions, "context" | "signal" | "stopTokens"> {
    const { temperature, topK, topP, minP, repetitionPenalty, seed, stop } = this.#choice;
    const own = seed === undefined ? undefined : seed + attempt;
    return {
      temperature,
      ...defined({ topK, topP, minP, repetitionPenalty, seed: own }),
      stop,
      maxNewTokens: this.#maxNewTokens,
    };
  }

  /** @throws SluiceError `usage` for a name that does not exist, or an invalid value */
  set(name: string, value: string): void {
    const key = camelCase(name);
    if (key === "maxNewTokens") {
      this.#maxNewTokens = wholeNumber(1)(value, name);
      return;
    }
    if (!isSetting(key)) {
      const names = [...Object.keys(SETTINGS), "maxNewTokens"].map(snakeCase);
      const guess = nearest(snakeCase(key), names);
      throw new SluiceError("usage", `unknown setting "${name.slice(0, 40)}"`, {
        hint: guess ? `Did you mean ${guess}?` : `The settings are ${names.join(", ")}.`,
      });
    }
    this.#choice = { ...this.#choice, [key]: SETTINGS[key].read([value], name) };
    samplingFrom(this.#choice, this.#context);
  }

  /** The settings in force, by their names in generation_config.json. */
  report(): Readonly<Record<string, number>> {
    const named = Object.keys(SETTINGS).map((key) => [snakeCase(key), this.#choice[key as Setting]] as const);
    const given = named.filter((entry): entry is readonly [string, number] => entry[1] !== undefined);
    return { ...Object.fromEntries(given), max_new_tokens: this.#maxNewTokens };
  }
}

function isSetting(key: string): key is Setting {
  return Object.hasOwn(SETTINGS, key);
}

/** `top_p`, `top-p` and `--top-p` all mean `topP`. */
function camelCase(name: string): string {
  return name.replace(/^-+/, "").replace(/[-_]([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
