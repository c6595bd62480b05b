/** The fields of requests: which are honoured, which change nothing and are ignored, and which are refused. */

import type { ObjectRule } from "../arguments/fields.ts";
import { fields } from "../arguments/fields.ts";
import { isOptions, listOf, tokens } from "../arguments/lists.ts";
import { Place } from "../arguments/place.ts";
import { either, type Rule, test } from "../arguments/rule.ts";
import { finite, flag, text, whole } from "../arguments/rules.ts";
import type { LogitBias, ResponseFormat } from "../index.ts";
import { logitBias, temperature } from "../model/generate-arguments.ts";
import { responseFormat } from "../model/response-format.ts";
import { type InterventionInput, interventionsRule } from "./interventions.ts";
import { defaultLimits } from "./limits.ts";
import { Problem } from "./problem.ts";

/** Fields of both kinds of requests. */
export interface CommonFields {
  readonly model?: string;
  readonly n?: number;
  readonly stop?: string | readonly string[];
  readonly seed?: number;
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean; readonly include_obfuscation?: boolean };
  readonly max_tokens?: number;
  readonly temperature?: number;
  readonly top_p?: number;
  readonly presence_penalty?: number;
  readonly frequency_penalty?: number;
  readonly logit_bias?: LogitBias;
  readonly response_format?: ResponseFormat;
  readonly top_k?: number;
  readonly min_p?: number;
  readonly repetition_penalty?: number;
  readonly stop_token_ids?: readonly number[];
  /** Adds `token_ids` to choices and chunks, as vLLM does. */
  readonly return_token_ids?: boolean;
  readonly interventions?: readonly InterventionInput[];
}

export interface CompletionFields extends CommonFields {
  readonly prompt: string | readonly number[] | readonly (string | readonly number[])[];
  readonly logprobs?: number;
  readonly echo?: boolean;
  readonly best_of?: number;
}

export interface ChatFields extends CommonFields {
  readonly messages: readonly Readonly<Record<string, unknown>>[];
  readonly max_completion_tokens?: number;
  readonly logprobs?: boolean;
  readonly top_logprobs?: number;
  readonly tools?: readonly Readonly<Record<string, unknown>>[];
  readonly tool_choice?: string | Readonly<Record<string, unknown>>;
  readonly parallel_tool_calls?: boolean;
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>>;
}

/** Fields that change no result. */
const IGNORED = new Set([
  "user",
  "store",
  "metadata",
  "service_tier",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_retention",
  "prediction",
]);

const plain = test<Readonly<Record<string, unknown>>>("an object", isOptions);
const penalty = finite({ least: -2, most: 2 });
/** Of 64 bits, as OpenAI's are; JSON's numbers hold 53 of them. */
const anySeed = test<number>("a whole number", (value) => Number.isInteger(value));

const common = {
  model: text,
  n: whole({ least: 1, most: defaultLimits.choices }),
  stop: either(text, listOf(text, { most: 16 })),
  seed: anySeed,
  stream: flag,
  stream_options: fields<NonNullable<CommonFields["stream_options"]>>()({
    include_usage: flag,
    include_obfuscation: flag,
  }),
  max_tokens: whole({ least: 1 }),
  temperature,
  top_p: finite({ least: 0, most: 1 }),
  presence_penalty: penalty,
  frequency_penalty: penalty,
  logit_bias: logitBias,
  response_format: responseFormat,
  top_k: whole({ least: -1 }),
  min_p: finite({ least: 0, most: 1 }),
  repetition_penalty: finite({ above: 0 }),
  stop_token_ids: tokens,
  return_token_ids: flag,
  interventions: interventionsRule,
};

const onePrompt = either(text, tokens);
const prompt: Rule<string | readonly number[] | readonly (string | readonly number[])[]> = {
  takes: "a text, a list of token ids, or a list of these",
  suits: (value) => typeof value === "string" || Array.isArray(value),
  read(value, place) {
    if (Array.isArray(value) && value.length > 0 && typeof value[0] !== "number") {
      return listOf(onePrompt, { least: 1, most: defaultLimits.choices }).read(value, place);
    }
    return onePrompt.read(value, place);
  },
};

export const completionFields = fields<CompletionFields>("a JSON object")({
  ...common,
  prompt: { ...prompt, isNeeded: true },
  // None: only the prompt is asked about.
  max_tokens: whole({ least: 0 }),
  logprobs: whole({ least: 0, most: 20 }),
  echo: flag,
  best_of: whole({ least: 1, most: defaultLimits.choices }),
});

export const chatFields = fields<ChatFields>("a JSON object")({
  ...common,
  messages: { ...listOf(plain, { least: 1 }), isNeeded: true },
  max_completion_tokens: whole({ least: 1 }),
  logprobs: flag,
  top_logprobs: whole({ least: 0, most: 20 }),
  tools: listOf(plain, { most: 128 }),
  tool_choice: either(text, plain),
  parallel_tool_calls: flag,
  chat_template_kwargs: plain,
});

/** Fields of OpenAI's interface that change results and cannot be honoured, unless they have these values. */
const REFUSED: Readonly<Record<string, (value: unknown) => boolean>> = {
  suffix: (value) => value === "",
  functions: () => false,
  function_call: () => false,
  audio: () => false,
  modalities: (value) => Array.isArray(value) && value.every((each) => each === "text"),
  web_search_options: () => false,
  verbosity: (value) => value === "medium",
  reasoning_effort: () => false,
};

/**
 * Reads the body of a request. Fields that are null count as left out, as OpenAI's clients send them.
 * @throws Problem 400, SluiceError `usage`
 */
export function readFields<Out, In>(rule: ObjectRule<Out, In>, call: string, body: unknown): Out {
  if (!isOptions(body)) throw new Problem(400, "The body must be a JSON object", { code: "bad_json" });
  const given: [name: string, value: unknown][] = [];
  for (const [name, value] of Object.entries(body)) {
    if (value === null || IGNORED.has(name)) continue;
    const isHarmless = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
    if (isHarmless?.(value)) continue;
    if (isHarmless) {
      throw new Problem(400, `${name} is not supported, and leaving it out would change the result`, {
        code: "unsupported_field",
        param: name,
      });
    }
    given.push([name, value]);
  }
  // A field called __proto__ is one that is not known.
  return rule.read(Object.fromEntries(given) as In, new Place(call, "options"));
}
