/** The few operations that transformers are made of, on float64 rows: plain loops, each as its formula reads. */
import type { ActivationName, RopeConfig } from "../../src/model-config.ts";

/** One vector for each token. */
export type Rows = readonly Float64Array[];

/** y = W·x + b, with W `[outputs, inputs]`. */
export interface Linear {
  readonly weight: Float64Array;
  readonly bias: Float64Array | undefined;
  readonly inputs: number;
  readonly outputs: number;
}

export interface Norm {
  readonly gain: Float64Array;
  /** LayerNorm has one, RMSNorm has none: the difference between the two families. */
  readonly bias: Float64Array | undefined;
  readonly eps: number;
}

/** Σ a[i + aFirst]·b[i + bFirst] over `length` elements. */
export function dot(a: Float64Array, aFirst: number, b: Float64Array, bFirst: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += (a[aFirst + i] as number) * (b[bFirst + i] as number);
  return sum;
}

/** x ← x + factor·y */
export function addScaled(x: Float64Array, factor: number, y: Float64Array): void {
  for (let i = 0; i < x.length; i++) x[i] = (x[i] as number) + factor * (y[i] as number);
}

export function add(a: Rows, b: Rows): Float64Array[] {
  return a.map((row, t) => {
    const sum = row.slice();
    addScaled(sum, 1, b[t] as Float64Array);
    return sum;
  });
}

/** Outputs [first, first + count) of a linear layer. */
export function project(rows: Rows, linear: Linear, first = 0, count = linear.outputs): Float64Array[] {
  const { weight, bias, inputs } = linear;
  return rows.map((x) => {
    const y = new Float64Array(count);
    for (let j = 0; j < count; j++) y[j] = dot(weight, (first + j) * inputs, x, 0, inputs) + (bias?.[first + j] ?? 0);
    return y;
  });
}

/** LayerNorm where there is a bias, else RMSNorm. */
export function normalize(rows: Rows, { gain, bias, eps }: Norm): Float64Array[] {
  return rows.map((x) => {
    let total = 0;
    for (const value of x) total += value;
    const mean = bias ? total / x.length : 0;
    let squares = 0;
    for (const value of x) squares += (value - mean) ** 2;
    const scale = 1 / Math.sqrt(squares / x.length + eps);
    const y = new Float64Array(x.length);
    for (let i = 0; i < y.length; i++) {
      y[i] = ((x[i] as number) - mean) * scale * (gain[i] as number) + (bias?.[i] ?? 0);
    }
    return y;
  });
}

export function activate(name: ActivationName, x: number): number {
  switch (name) {
    case "relu":
      return Math.max(x, 0);
    case "silu":
      return x / (1 + Math.exp(-x));
    case "gelu_quick":
      return x / (1 + Math.exp(-1.702 * x));
    case "gelu_new":
      return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    case "gelu":
      return 0.5 * x * (1 + erf(x / Math.SQRT2));
  }
}

/** erf(x) = 2/√π · e^(−x²) · Σ 2ⁿx²ⁿ⁺¹/(1·3·…·(2n+1)), whose terms all have one sign. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

export function softmax(scores: Float64Array): Float64Array {
  const highest = Math.max(...scores);
  const exponentials = scores.map((score) => Math.exp(score - highest));
  const sum = exponentials.reduce((total, value) => total + value, 0);
  return exponentials.map((value) => value / sum);
}

/** Rotates each pair (i, i + n/2) of one head's row by its position times the pair's frequency (Su et al. 2021). */
export function rotate(row: Float64Array, position: number, rope: RopeConfig): Float64Array {
  const half = row.length / 2;
  return row.map((value, j) => {
    const i = j % half;
    const angle = position * scaledFrequency(rope.rope_theta ** (-i / half), rope.scaling);
    const partner = j < half ? -(row[j + half] as number) : (row[j - half] as number);
    return value * Math.cos(angle) + partner * Math.sin(angle);
  });
}

/** Llama 3.1 keeps wavelengths below original/high, stretches those above original/low, and blends between. */
function scaledFrequency(frequency: number, scaling: RopeConfig["scaling"]): number {
  if (scaling.rope_type === "default") return frequency;
  if (scaling.rope_type === "linear") return frequency / scaling.factor;
  if (scaling.rope_type !== "llama3") throw new Error(`This reference has no ${scaling.rope_type}`);
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling;
  const turns = (original * frequency) / (2 * Math.PI);
  const kept = Math.min(Math.max((turns - low) / (high - low), 0), 1);
  return kept * frequency + (1 - kept) * (frequency / factor);
}
