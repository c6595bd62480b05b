/** Covariance, Cholesky and LEACE against plain sums and against the paper's own formula with a whitening matrix. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { solvePositiveDefinite } from "../../src/fit/cholesky.ts";
import { lowerIndex, StreamedCovariance } from "../../src/fit/covariance.ts";
import { type Erasure, eraseDifference } from "../../src/fit/erasure.ts";

type Matrix = readonly (readonly number[])[];

/** Two classes of n vectors in all, whose coordinates hang together, at a distance from the origin. */
function samples(seed: number, n: number, d: number, offset = 0): { rows: number[][]; label: (i: number) => number } {
  let state = seed >>> 0;
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  const mix = Array.from({ length: d }, () => Array.from({ length: d }, random));
  const label = (i: number): number => (i % 3 === 0 ? 1 : 0);
  const rows = Array.from({ length: n }, (_, i) => {
    const source = Array.from({ length: d }, (_, j) => random() + (j === 0 ? label(i) : 0));
    return mix.map(
      (row, j) => offset + (j + 1) * row.reduce((sum, value, k) => sum + value * (source[k] as number), 0),
    );
  });
  return { rows, label };
}

function meanOf(rows: Matrix): number[] {
  return (rows[0] ?? []).map((_, i) => rows.reduce((sum, row) => sum + (row[i] as number), 0) / rows.length);
}

function covarianceOf(rows: Matrix): number[][] {
  const mean = meanOf(rows);
  return mean.map((mi, i) =>
    mean.map(
      (mj, j) =>
        rows.reduce((sum, row) => sum + ((row[i] as number) - mi) * ((row[j] as number) - mj), 0) / rows.length,
    ),
  );
}

function erase(
  { rows, label }: ReturnType<typeof samples>,
  shrinkage: number | "auto",
): { erasure: Erasure | null; statistics: StreamedCovariance } {
  const statistics = new StreamedCovariance(rows[0]?.length ?? 0);
  for (const row of rows) statistics.add(row);
  const [plus, minus] = [1, 0].map((wanted) => meanOf(rows.filter((_, i) => label(i) === wanted)));
  const difference = Float64Array.from(plus as number[], (value, i) => value - (minus?.[i] as number));
  return { erasure: eraseDifference(statistics, difference, shrinkage), statistics };
}

function erased(row: readonly number[], { v, u }: Erasure, mean: Float64Array): number[] {
  const along = row.reduce((sum, value, i) => sum + (v[i] as number) * (value - (mean[i] as number)), 0);
  return row.map((value, i) => value - along * (u[i] as number));
}

/** A symmetric matrix to the power −½ and ½, by Jacobi's rotations. */
function whitening(matrix: Matrix): { readonly w: number[][]; readonly inverse: number[][] } {
  const d = matrix.length;
  const a = matrix.map((row) => [...row]);
  const q = a.map((_, i) => a.map((_, j): number => (i === j ? 1 : 0)));
  const rotate = (m: number[][], p: number, r: number, c: number, s: number): void => {
    for (const row of m) {
      const [x, y] = [row[p] as number, row[r] as number];
      [row[p], row[r]] = [c * x - s * y, s * x + c * y];
    }
  };
  const transpose = (m: number[][]) => m.map((_, i) => m.map((row) => row[i] as number));
  let turned = a;
  for (let sweep = 0; sweep < 12; sweep++) {
    for (let p = 0; p < d; p++) {
      for (let r = p + 1; r < d; r++) {
        const [app, arr, apr] = [turned[p]?.[p], turned[r]?.[r], turned[p]?.[r]] as [number, number, number];
        const angle = 0.5 * Math.atan2(2 * apr, arr - app);
        const [c, s] = [Math.cos(angle), Math.sin(angle)];
        rotate(turned, p, r, c, s);
        turned = transpose(turned);
        rotate(turned, p, r, c, s);
        rotate(q, p, r, c, s);
      }
    }
  }
  const power = (exponent: number) =>
    q.map((qi) =>
      q.map((qj) => qi.reduce((sum, x, k) => sum + x * (qj[k] as number) * (turned[k]?.[k] ?? 0) ** exponent, 0)),
    );
  return { w: power(-0.5), inverse: power(0.5) };
}

const times = (m: Matrix, x: readonly number[]): number[] =>
  m.map((row) => row.reduce((sum, value, i) => sum + value * (x[i] as number), 0));

function assertNear(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  const scale = Math.max(...Array.from(expected, Math.abs));
  for (let i = 0; i < expected.length; i++) {
    const off = Math.abs((actual[i] as number) - (expected[i] as number));
    assert.ok(off <= tolerance * scale, `${what}, entry ${i}: ${actual[i]}, expected ${expected[i]}`);
  }
}

test("vectors one by one give the mean and covariance of plain sums, far from the origin too", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 40 }), (seed, d, n) => {
      const { rows } = samples(seed, n, d, 3000);
      const statistics = new StreamedCovariance(d);
      for (const row of rows) statistics.add(row);
      const expected = covarianceOf(rows);
      const covariance = statistics.covariance();
      assertNear(statistics.mean, meanOf(rows), 1e-13, "mean");
      const lower = expected.flatMap((row, i) => row.slice(0, i + 1));
      if (n > 1) assertNear(covariance, lower, 1e-9, "covariance");
      assert.is(statistics.count, n);
    }),
    { numRuns: 40 },
  );
});

test("Cholesky solves, and recognises a matrix without full rank", () => {
  const { rows } = samples(5, 60, 11);
  const matrix = covarianceOf(rows);
  const lower = Float64Array.from(matrix.flatMap((row, i) => row.slice(0, i + 1)));
  const x = Float64Array.from({ length: 11 }, (_, i) => Math.cos(i));
  const solved = solvePositiveDefinite(lower, Float64Array.from(times(matrix, [...x])));
  assert.ok(solved);
  assertNear(solved, x, 1e-9, "solution");
  assert.is(solvePositiveDefinite(Float64Array.of(1, 2, 4), Float64Array.of(1, 1)), null);
});

test("the rank-one form is the paper's x − W⁺·P·W·(x − μ)", () => {
  for (const [seed, n, d] of [
    [1, 50, 2],
    [2, 90, 7],
    [3, 200, 13],
  ] as const) {
    const data = samples(seed, n, d, 1);
    const { erasure, statistics } = erase(data, 0);
    assert.ok(erasure);
    const { w, inverse } = whitening(covarianceOf(data.rows));
    const crossed = times(w, [...erasure.u]);
    const length = Math.hypot(...crossed);
    const mean = [...statistics.mean];
    for (const row of data.rows.slice(0, 5)) {
      const white = times(
        w,
        row.map((value, i) => value - (mean[i] as number)),
      );
      const along = white.reduce((sum, value, i) => sum + (value * (crossed[i] as number)) / length, 0);
      const back = times(
        inverse,
        crossed.map((value) => (along * value) / length),
      );
      const expected = row.map((value, i) => value - (back[i] as number));
      assertNear(erased(row, erasure, statistics.mean), expected, 1e-9, `d = ${d}`);
    }
  }
});

test("whatever the shrinkage, the class means are equal afterwards, and no coordinate separates the classes", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.integer({ min: 2, max: 12 }),
      fc.constantFrom(0.05, 0.5, 1, "auto" as const),
      (seed, d, shrinkage) => {
        const data = samples(seed, 9, d, 10);
        const { erasure, statistics } = erase(data, shrinkage);
        assert.ok(erasure);
        const rows = data.rows.map((row) => erased(row, erasure, statistics.mean));
        const [plus, minus] = [1, 0].map((wanted) => meanOf(rows.filter((_, i) => data.label(i) === wanted)));
        assertNear(plus as number[], minus as number[], 1e-9, `λ = ${shrinkage}`);
      },
    ),
    { numRuns: 60 },
  );
});

test("LEACE moves the data less than an orthogonal projection, as much as it says, and shrinks less the more it sees", () => {
  const data = samples(7, 400, 8);
  const { erasure, statistics } = erase(data, 0);
  assert.ok(erasure);
  let [change, spread] = [0, 0];
  for (const row of data.rows) {
    const after = erased(row, erasure, statistics.mean);
    row.forEach((value, i) => {
      change += (value - (after[i] as number)) ** 2;
      spread += (value - (statistics.mean[i] as number)) ** 2;
    });
  }
  assert.ok(Math.abs(erasure.moved - change / spread) < 1e-12);
  assert.ok(erasure.moved < erasure.movedByAblation);
  const few = erase({ ...data, rows: data.rows.slice(0, 12) }, "auto").erasure?.shrinkage ?? 0;
  const many = erase(data, "auto").erasure?.shrinkage ?? 1;
  assert.ok(few > 5 * many && few <= 1 && many > 0, `${few} with 12 vectors, ${many} with 400`);
});

test("a coordinate that never changes is unchanged; too few vectors without shrinkage are reported", () => {
  const data = samples(9, 60, 5);
  const rows = data.rows.map((row) => [...row.slice(0, 2), 7.25, ...row.slice(2)]);
  const { erasure } = erase({ ...data, rows }, 0);
  const without = erase(data, 0).erasure;
  assert.ok(erasure && without);
  assert.is(erasure.v[2], 0);
  assertNear(
    erasure.v.filter((_, i) => i !== 2),
    without.v,
    1e-12,
    "the others",
  );
  assert.is(lowerIndex(2, 1), 4);
  assert.is(erase({ ...data, rows: data.rows.slice(0, 5) }, 0).erasure, null);
});

test.run();
