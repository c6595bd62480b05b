/** Random attention problems, and their answers in float64 by plain loops. */
import type { AttentionShape } from "../../src/kernels/attention/attention.ts";
import type { StepRow, StepRows } from "../../src/kernels/step.ts";

export interface Problem {
  readonly shape: AttentionShape;
  readonly step: StepRows;
  readonly args: { readonly scale: number; readonly window: number; readonly slot_stride: number };
  readonly buffers: Readonly<Record<string, Float32Array | Uint32Array>>;
}

/** Rows `first … first + count − 1` of one sequence. */
export interface Chunk {
  readonly sequence: number;
  readonly first: number;
  readonly count: number;
}

export interface ProblemOptions {
  readonly heads: number;
  readonly kv_heads: number;
  readonly head_dim: number;
  readonly chunks: readonly Chunk[];
  readonly window?: number;
  readonly scale?: number;
  /** Multiplies every key: 1 gives scores of about ±1, small values flat softmaxes, large ones peaks. */
  readonly gain?: (sequence: number) => number;
  /** Added to every score of a sequence, by way of dimension 0 of q and k; changes no softmax. */
  readonly plateau?: (sequence: number) => number;
  readonly seed?: number;
  readonly taps?: readonly string[];
  readonly maxRows?: number;
}

/** Rows that z has beyond the step's, and what z is filled with. */
export const SPARE_ROWS = 3;
export const UNTOUCHED = 9;

export const ceil4 = (n: number): number => Math.ceil(n / 4) * 4;

/** Numbers in [−1, 1), the same for the same seed (mulberry32). */
export function noise(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
}

/**
 * A step over the given chunks with shuffled slots; unused slots hold large numbers. The key, value and query of a sequence's position depend on
 * the seed, sequence and position alone, so that problems with other chunks are about the same contexts.
 */
export function problem(options: ProblemOptions): Problem {
  const { heads, kv_heads, head_dim, chunks, window = 0, seed = 1, taps = [] } = options;
  const gain = options.gain ?? (() => 1);
  const scale = options.scale ?? 1 / Math.sqrt(head_dim);
  const longest = Math.max(...chunks.map(({ first, count }) => first + count));
  const sequences = Math.max(...chunks.map(({ sequence }) => sequence)) + 1;
  const capacity = sequences * longest + 3;
  const slotWidth = ceil4(kv_heads * head_dim);
  const rowWidth = ceil4(heads * head_dim);

  const order = Uint32Array.from({ length: capacity }, (_, i) => i);
  const shuffle = noise(seed * 31 + chunks.length);
  for (let i = capacity - 1; i > 0; i--) {
    const j = Math.floor(((shuffle() + 1) / 2) * (i + 1));
    const kept = order[i] as number;
    order[i] = order[j] as number;
    order[j] = kept;
  }
  const slots = order.slice(0, sequences * longest);

  const k_cache = new Float32Array(capacity * slotWidth).fill(7e3);
  const v_cache = new Float32Array(capacity * slotWidth).fill(-7e3);
  for (let sequence = 0; sequence < sequences; sequence++) {
    for (let position = 0; position < longest; position++) {
      const next = noise(seed * 7919 + sequence * 104729 + position * 2 + 1);
      const at = (slots[sequence * longest + position] as number) * slotWidth;
      for (let i = 0; i < kv_heads * head_dim; i++) {
        k_cache[at + i] = next() * gain(sequence);
        v_cache[at + i] = next();
      }
      if (options.plateau) for (let g = 0; g < kv_heads; g++) k_cache[at + g * head_dim] = options.plateau(sequence);
    }
  }
  const rows: StepRow[] = [];
  for (const { sequence, first, count } of chunks) {
    for (let position = first; position < first + count; position++) {
      rows.push({ token_index: rows.length, position, sequence, slot: slots[sequence * longest + position] as number });
    }
  }
  const q = new Float32Array(rows.length * rowWidth);
  rows.forEach(({ sequence, position }, row) => {
    const next = noise(seed * 15485863 + sequence * 611953 + position * 2);
    for (let i = 0; i < heads * head_dim; i++) q[row * rowWidth + i] = next() * 1.7;
    if (options.plateau) for (let h = 0; h < heads; h++) q[row * rowWidth + h * head_dim] = 1 / scale;
  });
  const shape = { heads, kv_heads, head_dim, taps, maxRows: options.maxRows ?? 128 };
  return {
    shape,
    step: { rows, outs: [] },
    args: { scale, window, slot_stride: longest },
    buffers: { q, k_cache, v_cache, slots, z: new Float32Array((rows.length + SPARE_ROWS) * rowWidth).fill(UNTOUCHED) },
  };
}

/** Softmax weights of one row and head in float64: index j − first for the visible keys `first … position`. */
export function weightsOf(
  { shape, step, args, buffers }: Problem,
  row: number,
  head: number,
): { first: number; weights: number[] } {
  const { heads, kv_heads, head_dim } = shape;
  const { q, k_cache, slots } = buffers as Record<string, Float32Array>;
  if (!q || !k_cache || !slots) throw new Error("a problem has q, k_cache and slots");
  const { position, sequence } = step.rows[row] as StepRow;
  const first = args.window === 0 ? 0 : Math.max(0, position - args.window + 1);
  const group = Math.floor(head / (heads / kv_heads));
  const scale = Math.fround(args.scale);
  const scores: number[] = [];
  for (let j = first; j <= position; j++) {
    const at = (slots[sequence * args.slot_stride + j] as number) * ceil4(kv_heads * head_dim) + group * head_dim;
    let dot = 0;
    for (let i = 0; i < head_dim; i++) {
      dot += (q[row * ceil4(heads * head_dim) + head * head_dim + i] as number) * (k_cache[at + i] as number);
    }
    scores.push(dot * scale);
  }
  const top = scores.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = scores.map((score) => Math.exp(score - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return { first, weights: powers.map((power) => power / total) };
}

/** z in float64, with its pad lanes 0. */
export function expectedZ(given: Problem): Float64Array {
  const { shape, step, args, buffers } = given;
  const { heads, kv_heads, head_dim } = shape;
  const { v_cache, slots } = buffers as Record<string, Float32Array>;
  if (!v_cache || !slots) throw new Error("a problem has v_cache and slots");
  const rowWidth = ceil4(heads * head_dim);
  const z = new Float64Array(step.rows.length * rowWidth);
  step.rows.forEach(({ sequence }, row) => {
    for (let head = 0; head < heads; head++) {
      const { first, weights } = weightsOf(given, row, head);
      const group = Math.floor(head / (heads / kv_heads));
      weights.forEach((weight, k) => {
        const at =
          (slots[sequence * args.slot_stride + first + k] as number) * ceil4(kv_heads * head_dim) + group * head_dim;
        for (let i = 0; i < head_dim; i++) {
          const out = row * rowWidth + head * head_dim + i;
          z[out] = (z[out] as number) + weight * (v_cache[at + i] as number);
        }
      });
    }
  });
  return z;
}
