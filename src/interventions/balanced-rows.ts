/** Rows of an affine stage, brought to a scale at which float32 computes with them as float64 would. */
import { SluiceError } from "../errors.ts";
import type { Gate, LoweredRow } from "./kinds/stage-kind.ts";

/** A lowered stage, and the bounds of its gate at the scale of its rows. */
export interface BalancedRow extends LoweredRow {
  /** Bounds of a clamp; zeros if the gate has none. */
  readonly bounds: readonly [lo: number, hi: number];
}

/** The largest float32. */
const MOST = 2 ** 128 - 2 ** 104;

/**
 * The same edit with each row of V, and its threshold, near 1: its row of U takes the power of two. Devices take numbers
 * below 1.2e-38 for 0, and a coordinate along a row of 1e38 leaves float32. Powers of two change no other bit.
 *
 * Bounds of a clamp hold for all coordinates, so its rows share one power.
 */
export function balancedRows(row: LoweredRow, gate: Gate): BalancedRow {
  const clamp = typeof gate === "object" ? gate.clamp : undefined;
  const scales = row.v.map((v, k) => largest(v, Math.abs(row.c[k] ?? 0)));
  const common = clamp && extremePower(Math.max(...scales));
  const factors = scales.map((scale) => common ?? powerOfTwo(scale));
  const bounds = clamp?.map((bound) => clipped(bound / (common ?? 1))) ?? [0, 0];
  const own = { ...row, bounds: bounds as [number, number] };
  if (factors.every((factor) => factor === 1)) return own;
  const times = (vector: Float64Array, factor: number) => vector.map((value) => value * factor);
  return {
    ...own,
    v: row.v.map((v, k) => times(v, 1 / (factors[k] as number))),
    u: row.u.map((u, k) => times(u, factors[k] as number)),
    c: row.c.map((c, k) => c / (factors[k] as number)),
  };
}

/**
 * Rows of one clamp may differ in scale only as far as float32 holds them at once, or where the smaller ones do nothing.
 * @param where names stage and layer
 * @throws SluiceError `bad_bundle`
 */
export function checkClampedRows({ v, u, c }: LoweredRow, gate: Gate, where: string): void {
  if (typeof gate !== "object") return;
  const scales = v.map((row, k) => largest(row, Math.abs(c[k] ?? 0)));
  const most = Math.max(...scales);
  const lost = scales.findIndex((scale, k) => {
    return scale > 0 && scale < most * 2 ** -SPREAD && scale * largest(u[k] as Float64Array) > 2 ** -NOTHING;
  });
  if (lost < 0) return;
  throw new SluiceError(
    "bad_bundle",
    `${where}: gate clamps row ${lost} of v, whose largest value is ${scales[lost]}, by the bounds that rows up to ${most} have: float32 does not hold both`,
    {
      hint: "Bring the rows of v to like sizes, with the rows of u the other way, or clamp them in stages of their own.",
    },
  );
}

/** Powers of two by which rows may differ, so that what is left of the smaller ones has all its digits. */
const SPREAD = 64;
/** A change that is that many powers of two smaller than its row does not show in float32. */
const NOTHING = 64;

/** Powers of two around 1 within which numbers are left as they are. */
const USUAL = 32;

/**
 * The power of two by which numbers are divided so that their largest comes within 2^±32; 1 if it does already. Strengths
 * are multiplied by it, and can be as small or large as float32 allows.
 */
export function extremePower(most: number): number {
  if (most === 0) return 1;
  const exponent = Math.floor(Math.log2(most));
  return Math.abs(exponent) <= USUAL ? 1 : 2 ** (exponent - Math.sign(exponent) * USUAL);
}

/** A vector by a power of two. */
export function divided<Vector extends ArrayLike<number>>(vector: Vector, power: number): Vector | Float64Array {
  return power === 1 ? vector : Float64Array.from(vector, (value) => value / power);
}

/** The largest magnitude in a vector. */
export function largest(vector: ArrayLike<number>, least = 0): number {
  let most = least;
  for (let i = 0; i < vector.length; i++) most = Math.max(most, Math.abs(vector[i] as number));
  return most;
}

/** The power of two at or below a positive number; 1 for 0. */
function powerOfTwo(value: number): number {
  return value === 0 ? 1 : 2 ** Math.floor(Math.log2(value));
}

function clipped(bound: number): number {
  return Math.min(Math.max(bound, -MOST), MOST);
}
