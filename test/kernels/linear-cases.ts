/** Linear layers whose shapes reach every branch of the kernels, and what "the same bits" means for them. */
import * as assert from "uvu/assert";
import type { LinearEpilogue, LinearShape } from "../../src/kernels/linear/linear.ts";
import type { WeightDtype } from "../../src/kernels/weight-dtype.ts";
import { type LinearProblem, type LinearResults, UNTOUCHED } from "./linear-problem.ts";

export const MAX_ROWS = 80;

export interface Case {
  readonly K: number;
  readonly N: number;
  readonly dtype: WeightDtype;
  readonly bias: boolean;
  readonly epilogue: LinearEpilogue;
  readonly outs?: boolean;
}

export const qkv = (heads: number, kvHeads: number, headDim: number, rope: boolean) =>
  ({
    N: (heads + 2 * kvHeads) * headDim,
    epilogue: { kind: "qkv", heads, kvHeads, headDim, rope },
  }) as const;

// Odd widths everywhere; K = 256 and 72 also reach the kernels without ragged ends; 300 outputs need two workgroups.
export const cases: readonly Case[] = [
  { K: 50, N: 37, dtype: "f32", bias: false, outs: true, epilogue: { kind: "store" } },
  { K: 256, N: 300, dtype: "f16", bias: true, epilogue: { kind: "activation", activation: "gelu_new" } },
  { K: 72, N: 37, dtype: "bf16", bias: true, epilogue: { kind: "residual" } },
  { K: 50, N: 80, dtype: "f16", bias: true, epilogue: { kind: "gated", activation: "silu" } },
  { K: 7, ...qkv(2, 1, 20, true), dtype: "bf16", bias: true },
  { K: 50, ...qkv(3, 1, 6, true), dtype: "f16", bias: true },
  { K: 50, ...qkv(3, 3, 3, false), dtype: "f32", bias: false },
  { K: 72, N: 37, dtype: "q8", bias: true, epilogue: { kind: "residual" } },
  { K: 256, N: 80, dtype: "q8", bias: true, epilogue: { kind: "gated", activation: "silu" } },
  { K: 7, ...qkv(2, 1, 20, true), dtype: "q4", bias: true },
  { K: 257, N: 44, dtype: "q4", bias: false, epilogue: { kind: "store" } },
];

export function shapeOf({ outs = false, ...rest }: Case, taps: readonly string[] = []): LinearShape {
  return { ...rest, outs, taps, strips: Math.ceil(rest.N / 4), maxRows: MAX_ROWS };
}

/** Rows [0, rows) of a buffer agree bit for bit, and nothing beyond was written. */
export function assertSameRows(
  actual: LinearResults,
  expected: LinearResults,
  problem: LinearProblem,
  rows: number,
): void {
  for (const [name, array] of actual) {
    if (name === "capture") continue;
    const whole = expected.get(name) as Float32Array;
    const bits = new Uint32Array(array.buffer);
    const wanted = new Uint32Array(whole.slice().buffer);
    const untouched = new Uint32Array(Float32Array.of(UNTOUCHED).buffer)[0];
    if (name.endsWith("_cache")) {
      const stride = array.length / 97;
      const written = new Set(problem.step.rows.slice(0, rows).map(({ slot }) => slot));
      const first = bits.findIndex((v, i) => v !== (written.has(Math.floor(i / stride)) ? wanted[i] : untouched));
      assert.is(first, -1, `${name} differs at ${first}`);
    } else {
      const end = (array.length / problem.rows) * rows;
      const first = bits.findIndex((v, i) => v !== (i < end ? wanted[i] : untouched));
      assert.is(first, -1, `${name} differs at ${first}`);
    }
  }
}

export const label = ({ K, N, dtype, epilogue }: Case) => `${epilogue.kind} ${K}x${N} ${dtype}`;
