/** Sampling options: their meaning and their bounds. */
import { generateDefaults } from "../defaults.ts";

/** How the next token is chosen. The order is Hugging Face's: penalty, temperature, top-k, top-p, min-p, draw. */
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
  /**
   * Any integer in [0, 2^53); equal seeds draw equal tokens at equal positions from equal logits. The continuations of a
   * batch draw with `seed`, `seed + 1`, and so on, so that equal prompts are continued differently.
   */
  readonly seed: number;
}

/** Fills in defaults; a seed that is not given is drawn. */
export function settleSampling(options: Partial<SamplingOptions>): SamplingOptions {
  const { temperature, topK, topP, minP, repetitionPenalty } = { ...generateDefaults, ...options };
  const { seed = Math.floor(Math.random() * 2 ** 32) } = options;
  const settled = { temperature, topK, topP, minP, repetitionPenalty, seed };
  // Shaders compute with float32, where smaller shares are 0 too. One token is left to draw from.
  return Math.fround(topP) === 0 ? { ...settled, temperature: 0, topP: 1 } : settled;
}

/** Bit v is set when token v occurs in the prompt: the initial state of the repetition penalty. */
export function seenBits(prompt: readonly number[], wordCount: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(wordCount);
  for (const token of prompt) words[token >>> 5] = (words[token >>> 5] as number) | (1 << (token & 31));
  return words;
}
