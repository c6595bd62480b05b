/** Sampling options: their meaning and their bounds. */
import { generateDefaults } from "../defaults.ts";
import { SluiceError } from "../errors.ts";
import { MIN_TEMPERATURE } from "../kernels/sample.ts";

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
  /** Any integer in [0, 2^53); equal seeds draw equal tokens at equal positions from equal logits. */
  readonly seed: number;
}

/** Fills in defaults and checks bounds. @throws SluiceError `usage` naming the option and its range */
export function checkSampling(options: Partial<SamplingOptions>): SamplingOptions {
  const settled: SamplingOptions = {
    temperature: options.temperature ?? generateDefaults.temperature,
    topK: options.topK ?? 0,
    topP: options.topP ?? 1,
    minP: options.minP ?? 0,
    repetitionPenalty: options.repetitionPenalty ?? 1,
    seed: options.seed ?? Math.floor(Math.random() * 2 ** 32),
  };
  bound(
    "temperature",
    settled.temperature,
    settled.temperature === 0 || settled.temperature >= MIN_TEMPERATURE,
    `0 or at least ${MIN_TEMPERATURE}`,
  );
  bound("topK", settled.topK, Number.isSafeInteger(settled.topK) && settled.topK >= 0, "a whole number, 0 or more");
  bound("topP", settled.topP, settled.topP >= 0 && settled.topP <= 1, "between 0 and 1");
  bound("minP", settled.minP, settled.minP >= 0 && settled.minP <= 1, "between 0 and 1");
  bound("repetitionPenalty", settled.repetitionPenalty, settled.repetitionPenalty > 0, "above 0");
  bound(
    "seed",
    settled.seed,
    Number.isSafeInteger(settled.seed) && settled.seed >= 0,
    "a whole number from 0 to 2^53 - 1",
  );
  // Shaders compute with float32, where smaller shares are 0 too. One token is left to draw from.
  return Math.fround(settled.topP) === 0 ? { ...settled, temperature: 0, topP: 1 } : settled;
}

function bound(name: keyof SamplingOptions, value: number, holds: boolean, range: string): void {
  if (!holds || !Number.isFinite(value)) throw new SluiceError("usage", `${name} is ${value}; it must be ${range}`);
}

/** Bit v is set when token v occurs in the prompt: what the repetition penalty starts from. */
export function seenBits(prompt: readonly number[], wordCount: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(wordCount);
  for (const token of prompt) words[token >>> 5] = (words[token >>> 5] as number) | (1 << (token & 31));
  return words;
}
