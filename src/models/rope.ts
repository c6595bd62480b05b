/**
 * Rotary position embedding tables (Su et al. 2021), made on the host in float64: `cos` on adapters differs in
 * more than the last bit, and is badly off for large angles on some.
 */
import type { RopeConfig } from "./config.ts";

/** Inverse frequencies of the head_dim/2 rotated pairs, after the model's scaling, in radians a position. */
export function inverseFrequencies(rope: RopeConfig, head_dim: number): Float64Array {
  const frequencies = new Float64Array(head_dim / 2);
  for (let i = 0; i < frequencies.length; i++) {
    frequencies[i] = scaled(rope.rope_theta ** ((-2 * i) / head_dim), rope.scaling);
  }
  return frequencies;
}

function scaled(frequency: number, scaling: RopeConfig["scaling"]): number {
  switch (scaling.rope_type) {
    case "default":
      return frequency;
    case "linear":
      return frequency / scaling.factor;
    case "llama3": {
      // Long wavelengths are stretched by `factor`, short ones left alone, those between are blended.
      const {
        factor,
        low_freq_factor: low,
        high_freq_factor: high,
        original_max_position_embeddings: original,
      } = scaling;
      const wavelength = (2 * Math.PI) / frequency;
      if (wavelength < original / high) return frequency;
      if (wavelength > original / low) return frequency / factor;
      const blend = (original / wavelength - low) / (high - low);
      return (1 - blend) * (frequency / factor) + blend * frequency;
    }
  }
}

/** `[positions, head_dim/2]` pairs (cos, sin) as float32. */
export function ropeTable(rope: RopeConfig, head_dim: number, positions: number): Float32Array<ArrayBuffer> {
  const frequencies = inverseFrequencies(rope, head_dim);
  const table = new Float32Array(positions * head_dim);
  let at = 0;
  for (let position = 0; position < positions; position++) {
    for (const frequency of frequencies) {
      table[at++] = Math.cos(position * frequency);
      table[at++] = Math.sin(position * frequency);
    }
  }
  return table;
}

/**
 * Where the engine's pair-adjacent head order takes each element from: element j of a head in engine order is
 * element `order[j]` of the head as stored. Pairs (i, i + head_dim/2) become neighbours (2i, 2i+1).
 */
export function pairAdjacentOrder(head_dim: number): readonly number[] {
  return Array.from({ length: head_dim }, (_, j) => (j >> 1) + (j & 1) * (head_dim / 2));
}
