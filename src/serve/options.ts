/** What a request asks of the library. */
import type { GenerateOptions, Model } from "../index.ts";
import type { CommonFields } from "./fields.ts";

/**
 * The library's options for a choice. What a request leaves out is as the model's generation_config.json says, else as in
 * OpenAI's interface: a temperature of 1.
 * @param choice which of the request's choices: each draws with its own seed
 */
export function optionsFor(body: CommonFields, model: Model, choice: number): GenerateOptions {
  const { generationDefaults } = model;
  const defaults = body.temperature === 0 ? {} : generationDefaults;
  const topK = body.top_k === undefined ? defaults.topK : Math.max(0, body.top_k);
  const topP = body.top_p ?? defaults.topP;
  const minP = body.min_p ?? defaults.minP;
  const repetitionPenalty = body.repetition_penalty ?? defaults.repetitionPenalty;
  const stop = typeof body.stop === "string" ? [body.stop] : (body.stop ?? []);
  return {
    temperature: body.temperature ?? generationDefaults.temperature ?? 1,
    ...(topK !== undefined && { topK }),
    ...(topP !== undefined && { topP }),
    ...(minP !== undefined && { minP }),
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
    ...(body.presence_penalty !== undefined && { presencePenalty: body.presence_penalty }),
    ...(body.frequency_penalty !== undefined && { frequencyPenalty: body.frequency_penalty }),
    ...(body.logit_bias !== undefined && { logitBias: body.logit_bias }),
    ...(body.seed !== undefined && { seed: seedOf(body.seed, choice) }),
    ...(body.response_format !== undefined && { responseFormat: body.response_format }),
    stop: [...stop, ...(generationDefaults.stop ?? [])].filter((text) => text !== ""),
    stopTokens: [...model.config.eos_token_ids, ...(body.stop_token_ids ?? [])],
  };
}

/** A seed may be negative or larger in requests; ours are from 0 to 2^53 - 1. */
export function seedOf(seed: number, choice: number): number {
  const most = Number.MAX_SAFE_INTEGER;
  const within = seed % (most + 1);
  const first = within < 0 ? most + within + 1 : within;
  return first <= most - choice ? first + choice : choice - (most - first) - 1;
}
