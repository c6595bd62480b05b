/**
 * Rotary position embedding tables (Su et al. 2021), made on the host in float64: `cos` on adapters differs in
 * more than the last bit, and is badly off for large angles on some.
 */
import type { RopeConfig } from "../model-config.ts";

type Scaling<Type extends RopeConfig["scaling"]["rope_type"]> = Extract<
  RopeConfig["scaling"],
  { readonly rope_type: Type }
>;

/** Elements of a head that are rotated, the first ones: an even number. */
export function rotaryWidth(rope: RopeConfig, head_dim: number): number {
  return 2 * Math.ceil(rotaryDim(rope, head_dim) / 2);
}

/** The divisor in the exponents of the frequencies; as in transformers it may be odd. */
function rotaryDim({ partial_rotary_factor = 1, scaling }: RopeConfig, head_dim: number): number {
  return scaling.rope_type === "proportional" ? head_dim : Math.trunc(head_dim * partial_rotary_factor);
}

/**
 * Inverse frequencies of the rotated pairs, after the model's scaling, in radians per position.
 * @param positions of the context: LongRoPE has other frequencies for contexts beyond the original length
 */
export function inverseFrequencies(rope: RopeConfig, head_dim: number, positions: number): Float64Array {
  const dim = rotaryDim(rope, head_dim);
  const plain = Float64Array.from({ length: Math.ceil(dim / 2) }, (_, i) => rope.rope_theta ** ((-2 * i) / dim));
  const { scaling } = rope;
  switch (scaling.rope_type) {
    case "default":
      return plain;
    case "linear":
      return plain.map((frequency) => frequency / scaling.factor);
    case "llama3":
      return plain.map((frequency) => llama3(frequency, scaling));
    case "yarn":
      return yarn(plain, dim, rope.rope_theta, scaling);
    case "longrope": {
      const factors = positions > scaling.original_max_position_embeddings ? scaling.long_factor : scaling.short_factor;
      return plain.map((frequency, i) => frequency / (factors[i] as number));
    }
    case "proportional": {
      const rotated = Math.trunc(((rope.partial_rotary_factor ?? 1) * head_dim) / 2);
      return plain.map((frequency, i) => (i < rotated ? frequency / scaling.factor : 0));
    }
  }
}

/** Long wavelengths are stretched by `factor`, short ones unchanged, those between blended. */
function llama3(frequency: number, scaling: Scaling<"llama3">): number {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength < original / high) return frequency;
  if (wavelength > original / low) return frequency / factor;
  const blend = (original / wavelength - low) / (high - low);
  return (1 - blend) * (frequency / factor) + blend * frequency;
}

/**
 * YaRN (Peng et al. 2023): pairs that turn often within the original context keep their frequency, those that turn
 * rarely are stretched by `factor`, and a ramp over the pairs blends between.
 */
function yarn(plain: Float64Array, dim: number, theta: number, scaling: Scaling<"yarn">): Float64Array {
  const { factor, original_max_position_embeddings: original, beta_fast, beta_slow, truncate } = scaling;
  /** The pair, as a real number, that makes this many turns within the original context. */
  const pairOfTurns = (turns: number): number =>
    (dim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const first = pairOfTurns(beta_fast);
  const last = pairOfTurns(beta_slow);
  const low = Math.max(truncate ? Math.floor(first) : first, 0);
  const end = Math.min(truncate ? Math.ceil(last) : last, dim - 1);
  // As in transformers: a ramp of no width would divide by 0.
  const high = low === end ? end + 0.001 : end;
  return plain.map((frequency, i) => {
    const stretched = Math.min(1, Math.max(0, (i - low) / (high - low)));
    return (frequency / factor) * stretched + frequency * (1 - stretched);
  });
}

/** `[positions, head_dim/2]` pairs (cos, sin) as float32; (1, 0) for pairs that are not rotated. */
export function ropeTable(rope: RopeConfig, head_dim: number, positions: number): Float32Array<ArrayBuffer> {
  const frequencies = inverseFrequencies(rope, head_dim, positions);
  const scale = "attention_factor" in rope.scaling ? rope.scaling.attention_factor : 1;
  const table = new Float32Array(positions * head_dim);
  let at = 0;
  for (let position = 0; position < positions; position++) {
    for (const frequency of frequencies) {
      table[at++] = scale * Math.cos(position * frequency);
      table[at++] = scale * Math.sin(position * frequency);
    }
    for (let pair = frequencies.length; pair < head_dim / 2; pair++) {
      table[at++] = 1;
      table[at++] = 0;
    }
  }
  return table;
}

/**
 * The source of each element in the engine's pair-adjacent head order: element j of a head in engine order is
 * element `order[j]` of the head as stored. Pairs (i, i + rotary/2) become neighbours (2i, 2i+1); elements that are not rotated
 * stay in place.
 * @param rotary elements of the head that are rotated: an even number
 */
export function pairAdjacentOrder(head_dim: number, rotary = head_dim): readonly number[] {
  return Array.from({ length: head_dim }, (_, j) => (j < rotary ? (j >> 1) + (j & 1) * (rotary / 2) : j));
}
