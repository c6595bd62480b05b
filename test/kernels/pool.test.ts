/** Pooled rows against plain loops: sequences of every length, odd widths, and what is not a number. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type PoolReduction, poolKernel } from "../../src/kernels/fit/pool.ts";
import { testDevice } from "../support/device.ts";
import { plainStep, runKernel } from "../support/run-kernel.ts";
import { ceil4, normal, paddedRows, seeded } from "./inputs.ts";

const UNTOUCHED = -77;

/** Lengths of the sequences of a step, side by side; 0 for one without rows. */
const shapes = [
  { width: 5, lengths: [1, 0, 3, 17, 16, 0] },
  { width: 130, lengths: [2, 40] },
  { width: 96, lengths: [256] },
  { width: 1, lengths: Array.from({ length: 70 }, (_, i) => (i * 5) % 4) },
] as const;

interface Pooled {
  readonly values: Float32Array;
  /** Everything written or left, `[sequences][stride]`. */
  readonly stride: number;
}

async function pool(
  reduction: PoolReduction,
  width: number,
  lengths: readonly number[],
  rows: Float32Array,
): Promise<Pooled> {
  const [before, behind, stride] = [4, 8, ceil4(width) + 12];
  let first = 0;
  const segments = lengths.flatMap((length) => {
    first += length;
    return length === 0 ? [9999, 0] : [first - length, length];
  });
  const result = await runKernel(await testDevice(), poolKernel({ width, sequences: lengths.length, reduction }), {
    step: plainStep(8),
    maxRows: 8,
    args: { capture_at: before / 4, table: 3, pooled_at: behind / 4, stride: stride / 4 },
    buffers: {
      capture: Float32Array.of(...new Float32Array(before).fill(1e9), ...rows),
      segments: Uint32Array.from([...[0, 9, 0, 9, 0, 9], ...segments]),
      pooled: new Float32Array(lengths.length * stride).fill(UNTOUCHED),
    },
  });
  const all = new Float32Array(result.get("pooled") as ArrayBuffer);
  const values = new Float32Array(lengths.length * width);
  for (let s = 0; s < lengths.length; s++) {
    values.set(all.subarray(s * stride + behind, s * stride + behind + width), s * width);
    const around = [
      ...all.subarray(s * stride, s * stride + behind),
      ...all.subarray(s * stride + behind + ceil4(width), (s + 1) * stride),
    ];
    assert.ok(
      around.every((value) => value === UNTOUCHED),
      "columns of other sites are left alone",
    );
  }
  return { values, stride };
}

function each(
  lengths: readonly number[],
  width: number,
  rows: Float32Array,
  check: (values: readonly number[], at: number, what: string) => void,
): void {
  let first = 0;
  lengths.forEach((length, s) => {
    for (let c = 0; c < width; c++) {
      const values = Array.from({ length }, (_, r) => rows[(first + r) * ceil4(width) + c] as number);
      check(values, s * width + c, `sequence ${s} of ${length} rows, column ${c}`);
    }
    first += length;
  });
}

for (const [i, { width, lengths }] of shapes.entries()) {
  const total = lengths.reduce<number>((sum, length) => sum + length, 0);
  const drawn = () => {
    const random = seeded(700 + i);
    return paddedRows(total, width, () => normal(random) - 1);
  };

  test(`${lengths.length} sequences, ${width} wide: the greatest of each column, to the bit`, async () => {
    const rows = drawn();
    const { values } = await pool("max", width, lengths, rows);
    each(lengths, width, rows, (column, at, what) =>
      assert.is(values[at], column.length === 0 ? UNTOUCHED : Math.max(...column), what),
    );
  });

  test(`${lengths.length} sequences, ${width} wide: sums within the rounding of blocks of 16`, async () => {
    const rows = drawn();
    const { values } = await pool("sum", width, lengths, rows);
    each(lengths, width, rows, (column, at, what) => {
      if (column.length === 0) return assert.is(values[at], UNTOUCHED, what);
      const size = column.reduce((sum, value) => sum + Math.abs(value), 0);
      const exact = column.reduce((sum, value) => sum + value, 0);
      const off = Math.abs((values[at] as number) - exact);
      assert.ok(off <= 31 * 2 ** -24 * size, `${what}: off by ${off}`);
    });
  });
}

test("a NaN is passed on, wherever it stands and whatever its sign; infinities and subnormals are numbers like others", async () => {
  const columns = [
    [Number.NaN, 1, 2],
    [1, Number.NaN, 2],
    [1, 2, Number.NaN],
    [Infinity, Number.NaN, 0],
    [-Infinity, -Infinity, -1e30],
    [-Infinity, -Infinity, -Infinity],
    [Infinity, 3e38, 0],
    [-1e-42, -1e-41, -2e-42],
    [1e-42, 1e-41, 0],
  ];
  const rows = paddedRows(3, columns.length, (row, column) => columns[column]?.[row] ?? 0);
  // With its sign set, which would be the least in the order of bits.
  new Uint32Array(rows.buffer)[0] = 0xffc00001;
  const expected = columns.map((column) => Math.fround(Math.max(...column)));
  const top = await pool("max", columns.length, [3], rows);
  assert.equal([...top.values], expected);
  const sum = await pool("sum", columns.length, [3], rows);
  assert.equal([...sum.values.subarray(0, 4)].map(Number.isNaN), [true, true, true, true]);
});

test.run();
