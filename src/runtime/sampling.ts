/** Sampling options: their meaning and their bounds. */
import { generateDefaults } from "../defaults.ts";
import type { TokenGrammar } from "../grammar/constraint.ts";

/** Addends by token id; an object's keys are ids in decimal, as in JSON. */
export type LogitBias = ReadonlyMap<number, number> | Readonly<Record<string, number>>;

/**
 * How the next token is chosen. The order is Hugging Face's: penalties, temperature, top-k, top-p, min-p, draw. Of the
 * penalties: what `logitBias` adds, the repetition penalty, then OpenAI's frequency and presence penalties.
 */
export interface SamplingOptions {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** Keep the k most likely tokens; 0 keeps all. */
  readonly topK: number;
  /** Keep the smallest set of most likely tokens whose probability reaches p; 1 keeps all, 0 the most likely one. */
  readonly topP: number;
  /** Keep tokens at least this fraction as likely as the most likely one; 0 keeps all. */
  readonly minP: number;
  /** Divides positive and multiplies negative logits of tokens already present; 1 changes nothing. */
  readonly repetitionPenalty: number;
  /** Subtracted from the logits of tokens that this call has generated, per time; from -2 to 2, 0 changes nothing. */
  readonly frequencyPenalty?: number;
  /** Subtracted once from the logits of tokens that this call has generated; from -2 to 2, 0 changes nothing. */
  readonly presencePenalty?: number;
  /** Added to the logits of tokens, by id: from -100, which all but forbids a token, to 100, which all but forces it. */
  readonly logitBias?: LogitBias;
  /**
   * Any integer in [0, 2^53); equal seeds draw equal tokens at equal positions from equal logits. The continuations of a
   * batch draw with `seed`, `seed + 1`, and so on, so that equal prompts are continued differently.
   */
  readonly seed: number;
}

/** How a sequence is sampled, and what is to be known of it. */
export interface SettledSampling extends Omit<SamplingOptions, "logitBias"> {
  readonly logitBias?: ReadonlyMap<number, number>;
  /** How many of the most likely tokens are reported with each token; undefined: no log probabilities. */
  readonly topLogprobs?: number | undefined;
  /** What the text must fit. */
  readonly grammar?: TokenGrammar | undefined;
}

/** Fills in defaults; a seed that is not given is drawn. */
export function settleSampling(
  options: Partial<SamplingOptions> & { readonly logprobs?: boolean; readonly topLogprobs?: number },
): SettledSampling {
  const { temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty } = {
    ...generateDefaults,
    ...options,
  };
  const { seed = Math.floor(Math.random() * 2 ** 32), logitBias, logprobs, topLogprobs = 0 } = options;
  const settled = {
    ...{ temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, seed },
    ...(logitBias && { logitBias: addendsById(logitBias) }),
    ...((logprobs || topLogprobs > 0) && { topLogprobs }),
  };
  // Shaders compute with float32, where smaller shares are 0 too. One token is left to draw from.
  return Math.fround(topP) === 0 ? { ...settled, temperature: 0, topP: 1 } : settled;
}

function addendsById(given: LogitBias): ReadonlyMap<number, number> {
  return given instanceof Map ? given : new Map(Object.entries(given).map(([id, addend]) => [Number(id), addend]));
}

/** Bit v is set when token v occurs in the prompt: the initial state of the repetition penalty. */
export function seenBits(prompt: readonly number[], wordCount: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(wordCount);
  for (const token of prompt) words[token >>> 5] = (words[token >>> 5] as number) | (1 << (token & 31));
  return words;
}
