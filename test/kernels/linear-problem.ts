/** A random linear layer, its results in float64, and how to run a kernel on it. */
import { interfaceOf } from "../../src/kernels/interface.ts";
import { inOrder, type Kernel } from "../../src/kernels/kernel.ts";
import { type LinearShape, linearOutputWidth4 } from "../../src/kernels/linear/linear.ts";
import type { StepRows } from "../../src/kernels/step.ts";
import type { ActivationName } from "../../src/model-config.ts";
import { testDevice } from "../support/device.ts";
import { runKernel } from "../support/run-kernel.ts";
import { ceil4, normal, packedMatrix, paddedRows, seeded } from "./inputs.ts";

/** What outputs hold before a kernel runs. */
export const UNTOUCHED = -77;
/** Cache slots; a prime, so that the slots of a step's rows are distinct. */
export const SLOTS = 97;
const NOT_CAPTURED = 0xffffffff;

export interface LinearProblem {
  readonly shape: LinearShape;
  readonly rows: number;
  readonly step: StepRows;
  /** [rows][ceil4(K)]. */
  readonly input: Float32Array;
  /** [N][K], widened. */
  readonly dense: Float32Array;
  /** The same, packed in strips. */
  readonly weights: Uint32Array;
  /** The bias begins at vec4 1. */
  readonly params: Float32Array;
  /** [rows][4 · OUT4]. */
  readonly residual: Float32Array;
  /** [positions][dh / 2] of (cos, sin). */
  readonly rope: Float32Array;
}

/** Weights of about 1/√K and inputs of about 1, so that sums are of about 1 too. */
export function linearProblem(shape: LinearShape, rows: number, seed: number): LinearProblem {
  const random = seeded(seed);
  const { K, N, dtype, epilogue } = shape;
  const drawn = Float32Array.from({ length: N * K }, () => normal(random) / Math.sqrt(K));
  if (epilogue.kind === "gated") zeroPadding(drawn, shape);
  const { dense, packed: weights } = packedMatrix(drawn, N, K, dtype);
  const headDim = epilogue.kind === "qkv" ? epilogue.headDim : 2;
  return {
    shape,
    rows,
    step: scatteredStep(rows),
    input: paddedRows(rows, K, () => normal(random)),
    dense,
    weights,
    params: paddedRows(1, ceil4(N) + 4, (_, n) => (n < 4 ? 1e6 : n < N + 4 ? 0.5 * normal(random) : 0)),
    residual: paddedRows(rows, linearOutputWidth4(shape) * 4, (_, n) => (n < N ? normal(random) : 0)),
    rope: Float32Array.from({ length: 256 * headDim }, (_, i) => {
      const pair = Math.floor(i / 2) % Math.max(1, headDim / 2);
      const angle = Math.floor(i / headDim) * 10_000 ** ((-2 * pair) / headDim);
      return i % 2 === 0 ? Math.cos(angle) : Math.sin(angle);
    }),
  };
}

/** As at load: with an intermediate size that is no multiple of 4, the last gate and up strips have padding rows. */
function zeroPadding(dense: Float32Array, { K, N }: LinearShape): void {
  dense.fill(0, (N - 5) * K, (N - 4) * K);
  dense.fill(0, (N - 1) * K);
}

/** Rows of one sequence at odd positions, in slots that follow no order; out rows are the first ones. */
function scatteredStep(rows: number): StepRows {
  const list = Array.from({ length: rows }, (_, i) => ({
    token_index: i,
    position: 3 + 2 * i,
    slot: (5 * i + 2) % SLOTS,
    sequence: 0,
  }));
  return {
    rows: list,
    outs: list.map((row, i) => ({ row: i, token_index: i, sequence: 0, position: row.position })),
  };
}

/** Every buffer that a kernel may write, by name, and captures as "tap NAME". */
export type LinearResults = Map<string, Float32Array>;

export interface LinearRun {
  /** Compute the first so many of the problem's rows; default all. */
  readonly rows?: number;
  /** Where the part stands, for a kernel of a part. */
  readonly firstStrip?: number;
  /** The parts before, so that this one adds to what they wrote. */
  readonly earlier?: LinearResults;
}

/** Runs a kernel; taps that it has are captured, into regions that leave the first vec4 of `capture` alone. */
export async function runLinear(kernel: Kernel, problem: LinearProblem, run: LinearRun = {}): Promise<LinearResults> {
  const { shape } = problem;
  const { rows = problem.rows, firstStrip = 0, earlier } = run;
  const qkv = shape.epilogue.kind === "qkv" ? shape.epilogue : undefined;
  const kvWidth = qkv ? ceil4(qkv.kvHeads * qkv.headDim) : 0;
  const width = linearOutputWidth4(shape) * 4;
  const part = shape.strips === ceil4(shape.N) / 4 ? problem.weights : partOf(problem, firstStrip);

  const args: Record<string, number> = { first_strip: firstStrip, bias: 1 };
  const regions = new Map<string, { readonly at: number; readonly width: number }>();
  let capture4 = 1;
  const fields = (await Promise.all(inOrder(kernel).map(interfaceOf))).flatMap((each) => each.args);
  for (const { name } of fields.filter((field) => field.name.startsWith("tap_"))) {
    const tap = name.slice("tap_".length);
    const tapWidth = qkv && tap !== "q" ? kvWidth : width;
    args[name] = capture4;
    regions.set(tap, { at: capture4 * 4, width: tapWidth });
    capture4 += (problem.rows * tapWidth) / 4;
  }
  const blank = (name: string, length: number) => earlier?.get(name) ?? new Float32Array(length).fill(UNTOUCHED);
  const buffers = {
    weights: part,
    input: problem.input,
    params: problem.params,
    residual: problem.residual,
    rope: problem.rope,
    output: blank("output", problem.rows * width),
    q: blank("q", problem.rows * width),
    k_cache: blank("k_cache", SLOTS * kvWidth),
    v_cache: blank("v_cache", SLOTS * kvWidth),
    capture: new Float32Array(capture4 * 4).fill(UNTOUCHED),
    partials: new Float32Array((kernel.split?.bytes(rows) ?? 0) / 4).fill(UNTOUCHED),
  };
  const step = { rows: problem.step.rows.slice(0, rows), outs: problem.step.outs.slice(0, rows) };
  const device = await testDevice();
  const result = await runKernel(device, kernel, { step, maxRows: shape.maxRows, args, buffers });
  const results: LinearResults = new Map();
  // How sums are split is the kernel's own affair.
  result.delete("partials");
  for (const [name, buffer] of result) results.set(name, new Float32Array(buffer));
  const capture = results.get("capture");
  for (const [tap, region] of regions) {
    results.set(`tap ${tap}`, (capture as Float32Array).slice(region.at, region.at + rows * region.width));
  }
  return results;
}

function partOf({ shape, weights }: LinearProblem, firstStrip: number): Uint32Array {
  const words = weights.length / (ceil4(shape.N) / 4);
  return weights.slice(firstStrip * words, (firstStrip + shape.strips) * words);
}

/** What {@link runLinear} should give with all taps, in float64; unwritten values are UNTOUCHED. */
export function linearReference(problem: LinearProblem): Map<string, Float64Array> {
  const { shape, rows, input, dense, params, residual } = problem;
  const { K, N, bias, epilogue } = shape;
  const width = linearOutputWidth4(shape) * 4;
  const stride = ceil4(K);
  const results = new Map<string, Float64Array>();
  const into = (name: string, length: number): Float64Array => {
    const array = results.get(name) ?? new Float64Array(length).fill(name.endsWith("_cache") ? UNTOUCHED : 0);
    results.set(name, array);
    return array;
  };
  for (let row = 0; row < rows; row++) {
    const y = new Float64Array(ceil4(N));
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += (dense[n * K + k] as number) * (input[row * stride + k] as number);
      y[n] = sum + (bias ? (params[4 + n] as number) : 0);
    }
    const put = (name: string, n: number, value: number) => {
      into(name, rows * width)[row * width + n] = value;
    };
    const at = (n: number) => y[n] as number;
    for (let n = 0; n < width; n++) {
      if (epilogue.kind === "store") put("output", n, at(n));
      if (epilogue.kind === "residual") {
        put("tap out", n, at(n));
        put("output", n, (residual[row * width + n] as number) + at(n));
      }
      if (epilogue.kind === "activation") {
        const post = activate(epilogue.activation, at(n));
        put("tap pre", n, at(n));
        put("tap post", n, post);
        put("output", n, post);
      }
      if (epilogue.kind === "gated") {
        const gate = at((n >> 2) * 8 + (n & 3));
        const up = at((n >> 2) * 8 + 4 + (n & 3));
        const post = activate(epilogue.activation, gate) * up;
        put("tap gate", n, gate);
        put("tap up", n, up);
        put("tap post", n, post);
        put("output", n, post);
      }
    }
    if (epilogue.kind === "qkv") placeQkv(problem, row, at, into);
  }
  return results;
}

function placeQkv(
  { shape, rows, step, rope }: LinearProblem,
  row: number,
  y: (n: number) => number,
  into: (name: string, length: number) => Float64Array,
): void {
  if (shape.epilogue.kind !== "qkv") throw new Error("not a qkv problem");
  const { heads, kvHeads, headDim, rope: rotate } = shape.epilogue;
  const [Q, KV] = [heads * headDim, kvHeads * headDim];
  const { position, slot } = step.rows[row] as StepRows["rows"][number];
  const turned = (n: number): number => {
    if (!rotate) return y(n);
    const at = (position * (headDim / 2) + ((n % headDim) >> 1)) * 2;
    const [cos, sin] = [rope[at] as number, rope[at + 1] as number];
    return n % 2 === 0 ? y(n) * cos - y(n + 1) * sin : y(n - 1) * sin + y(n) * cos;
  };
  for (let n = 0; n < Q; n++) {
    into("tap q", rows * ceil4(Q))[row * ceil4(Q) + n] = y(n);
    into("q", rows * ceil4(Q))[row * ceil4(Q) + n] = turned(n);
  }
  for (let n = 0; n < KV; n++) {
    into("tap k", rows * ceil4(KV))[row * ceil4(KV) + n] = y(Q + n);
    into("tap v", rows * ceil4(KV))[row * ceil4(KV) + n] = y(Q + KV + n);
    into("k_cache", SLOTS * ceil4(KV))[slot * ceil4(KV) + n] = turned(Q + n);
    into("v_cache", SLOTS * ceil4(KV))[slot * ceil4(KV) + n] = y(Q + KV + n);
  }
}

/** The activations in float64. */
export function activate(name: ActivationName, x: number): number {
  switch (name) {
    case "relu":
      return Math.max(0, x);
    case "silu":
      return x / (1 + Math.exp(-x));
    case "gelu_quick":
      return x / (1 + Math.exp(-1.702 * x));
    case "gelu_new":
      return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    case "gelu":
      return x < 0 ? 0.5 * x * erfc(-x / Math.SQRT2) : 0.5 * x * (2 - erfc(x / Math.SQRT2));
  }
}

/** erfc(z) for z ≥ 0: the Taylor series of erf, and beyond 2.5 the continued fraction. */
function erfc(z: number): number {
  if (z > 2.5) {
    let tail = z;
    for (let i = 80; i > 0; i--) tail = z + i / 2 / tail;
    return Math.exp(-z * z) / Math.sqrt(Math.PI) / tail;
  }
  let term = z;
  let sum = z;
  for (let i = 1; i < 80; i++) {
    term *= (-z * z) / i;
    sum += term / (2 * i + 1);
  }
  return 1 - (2 / Math.sqrt(Math.PI)) * sum;
}

export { NOT_CAPTURED };
