/** Rows of an affine stage, brought to a scale at which float32 computes with them as float64 would. */
import type { Gate, LoweredRow } from "../interventions/kinds/stage-kind.ts";

/**
 * The same edit with each row of V, and its threshold, near 1: its row of U takes the power of two. Devices take numbers
 * below 1.2e-38 for 0, and a coordinate along a row of 1e38 leaves float32. Powers of two change no other bit.
 * @param gate bounds of a clamp hold for all coordinates, so its rows stay as they are
 */
export function balancedRows(row: LoweredRow, gate: Gate): LoweredRow {
  if (typeof gate === "object") return row;
  const factors = row.v.map((v, k) =>
    powerOfTwo(v.reduce((most, value) => Math.max(most, Math.abs(value)), Math.abs(row.c[k] ?? 0))),
  );
  if (factors.every((factor) => factor === 1)) return row;
  const times = (vector: Float64Array, factor: number) => vector.map((value) => value * factor);
  return {
    ...row,
    v: row.v.map((v, k) => times(v, 1 / (factors[k] as number))),
    u: row.u.map((u, k) => times(u, factors[k] as number)),
    c: row.c.map((c, k) => c / (factors[k] as number)),
  };
}

/** The power of two at or below a positive number; 1 for 0. */
function powerOfTwo(value: number): number {
  return value === 0 ? 1 : 2 ** Math.floor(Math.log2(value));
}
