/**
 * The scaling of rotary frequencies that a GGUF file states, as config.json would. llama.cpp's writer stores Llama 3's
 * scaling as its result, a divisor for each frequency, in the tensor `rope_freqs.weight`.
 */
import type { Metadata } from "./metadata.ts";

/** Divisors of each rotated pair's frequency, from tensors of the file. */
export interface RopeFactors {
  /** `rope_freqs.weight` */
  readonly all?: Float32Array;
  /** `rope_factors_short.weight` and `rope_factors_long.weight`: for contexts up to the original length, and beyond. */
  readonly short?: Float32Array;
  readonly long?: Float32Array;
}

/** What scaling depends on. */
export interface RopeSizes {
  readonly head_dim: number;
  readonly rope_theta: number;
  readonly max_position_embeddings: number;
}

/**
 * `rope_scaling` of config.json; undefined if nothing is scaled.
 * @param arch prefix of the keys
 * @throws `bad_config`
 */
export function ropeScaling(
  metadata: Metadata,
  arch: string,
  factors: RopeFactors,
  sizes: RopeSizes,
): Readonly<Record<string, unknown>> | undefined {
  const key = (name: string): string => `${arch}.rope.scaling.${name}`;
  const type = metadata.text(key("type")) ?? (metadata.has(`${arch}.rope.scale_linear`) ? "linear" : "none");
  const original = metadata.whole(key("original_context_length")) ?? sizes.max_position_embeddings;
  if (factors.all) {
    if (type === "none" || type === "llama3") return fromFactors(factors.all, sizes);
    throw metadata.refuse(key("type"), "and rope_freqs.weight scales as well; only one of both is supported");
  }
  const factor = metadata.float(key("factor")) ?? metadata.float(`${arch}.rope.scale_linear`);
  switch (type) {
    case "none":
      return undefined;
    case "linear":
      return factor === undefined || factor === 1 ? undefined : { rope_type: "linear", factor };
    case "yarn":
      return yarn(metadata, key, factor, original);
    case "longrope": {
      const { short, long } = factors;
      if (!short || !long) throw metadata.refuse(key("type"), "and its factors, two tensors, are missing");
      return {
        rope_type: "longrope",
        short_factor: [...short],
        long_factor: [...long],
        original_max_position_embeddings: original,
        attention_factor: metadata.float(key("attn_factor")) ?? 1,
      };
    }
    default:
      throw metadata.refuse(key("type"), 'the supported kinds are "none", "linear", "yarn" and "longrope"');
  }
}

function yarn(
  metadata: Metadata,
  key: (name: string) => string,
  factor: number | undefined,
  original: number,
): Readonly<Record<string, unknown>> {
  if (factor === undefined) throw metadata.refuse(key("factor"), "YaRN cannot scale without it");
  // llama.cpp multiplies YaRN's own factor of attention by these.
  const stated = [metadata.float(key("attn_factor")), metadata.float(key("yarn_attn_factor"))];
  const times = stated.reduce<number>((product, each) => product * (each ?? 1), 1);
  const betaFast = metadata.float(key("yarn_beta_fast"));
  const betaSlow = metadata.float(key("yarn_beta_slow"));
  return {
    rope_type: "yarn",
    factor,
    original_max_position_embeddings: original,
    ...(betaFast !== undefined && { beta_fast: betaFast }),
    ...(betaSlow !== undefined && { beta_slow: betaSlow }),
    ...(times !== 1 && { attention_factor: times * (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1) }),
  };
}

/** What Meta's models have: the original length of Llama 3 and the bounds of its blend. */
const LLAMA3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/** Float32 divisors differ from exact ones by this share at most. */
const ROUNDING = 1e-6;

/** Llama 3's scaling if it gives these divisors, otherwise the divisors themselves. */
function fromFactors(
  factors: Float32Array,
  { head_dim, rope_theta, max_position_embeddings }: RopeSizes,
): Readonly<Record<string, unknown>> | undefined {
  if (factors.every((factor) => factor === 1)) return undefined;
  const factor = factors.reduce((a, b) => Math.max(a, b), 0);
  const isLlama3 = factors.every((stored, i) => {
    const exact = llama3Divisor(rope_theta ** ((-2 * i) / head_dim), factor);
    return Math.abs(stored - exact) <= ROUNDING * exact;
  });
  if (isLlama3 && 2 * factors.length === head_dim) return { rope_type: "llama3", factor, ...LLAMA3 };
  return {
    rope_type: "longrope",
    short_factor: [...factors],
    long_factor: [...factors],
    original_max_position_embeddings: max_position_embeddings,
    attention_factor: 1,
  };
}

function llama3Divisor(frequency: number, factor: number): number {
  const turns = (LLAMA3.original_max_position_embeddings * frequency) / (2 * Math.PI);
  const { low_freq_factor: low, high_freq_factor: high } = LLAMA3;
  if (turns > high) return 1;
  if (turns < low) return factor;
  const blend = (turns - low) / (high - low);
  return 1 / ((1 - blend) / factor + blend);
}
