/**
 * Linear layers: y = W·x + b for every row of a step, with what follows it folded in. Shaders: shaders/linear/.
 *
 * A matrix is served by a list of kernels, each good up to some number of rows. All of class `serial` agree bit for
 * bit, whatever the family, the number of rows and the tiling. This module chooses, and lists what the tuner may choose
 * instead; designs.ts has the kernels.
 */
import type { Kernel, KernelFamily, RowRange } from "../kernel.ts";
import type { KernelVariant, Operation } from "../variants.ts";
import { isQuantised } from "../weight-dtype.ts";
import {
  groupedLinear,
  lanesLinear,
  mostSplitRows,
  registerLinear,
  splitCounts,
  splitLinear,
  tileLinear,
} from "./designs.ts";
import { epilogueShader } from "./epilogue.ts";
import { columnTiles, type LinearShape, servesGroups } from "./shape.ts";

export {
  groupedLinear,
  lanesLinear,
  MOST_PARTIAL_BYTES,
  mostSplitRows,
  type RegisterRows,
  registerLinear,
  type SplitCount,
  splitCounts,
  splitLinear,
  tileLinear,
} from "./designs.ts";
export { type LinearEpilogue, linearLists, linearTaps } from "./epilogue.ts";
export { type LinearShape, linearOutputWidth4, servesGroups } from "./shape.ts";

export interface LinearChoice {
  readonly family: KernelFamily;
  /** One summation class, `serial`, for every number of rows. */
  readonly reference: boolean;
  /** The device has WGSL's subgroups. */
  readonly subgroups?: boolean;
}

/**
 * The kernels that serve a matrix, in order: M rows take the first whose `maxRows` is at least M.
 *
 * - register: matrix-vector for one row, then blocks of 2, 4, 6 and 8 rows in registers, since a block computes all of its
 *   rows whether they exist or not. Always `serial`.
 * - tiled: lanes along K for up to eight rows, then tiles in workgroup memory, of 32 rows while those of 64 would leave
 *   most of a GPU idle; K is split among workgroups while those of 32 would. For the reference plan few rows take the
 *   register kernel instead, nothing is split, and everything is `serial`.
 */
export function linearKernels(shape: LinearShape, choice: LinearChoice): readonly RowRange[] {
  if (!servesGroups(shape)) return [{ maxRows: Infinity, kernel: groupedLinear(shape) }];
  if (choice.family === "register") {
    const any = { ...shape, anyShape: true };
    return [
      { maxRows: 1, kernel: registerLinear(any, 1) },
      { maxRows: 2, kernel: registerLinear(any, 2) },
      { maxRows: 4, kernel: registerLinear(any, 4) },
      { maxRows: 6, kernel: registerLinear(any, 6) },
      { maxRows: 8, kernel: registerLinear(any, 8) },
      { maxRows: 12, kernel: registerLinear(any, 6) },
      { maxRows: Infinity, kernel: registerLinear(any, 8) },
    ];
  }
  const few: readonly RowRange[] = choice.reference
    ? [
        { maxRows: 1, kernel: registerLinear(shape, 1) },
        { maxRows: 4, kernel: registerLinear(shape, 4) },
      ]
    : ([1, 2, 4, 8] as const).map((rows) => ({
        maxRows: rows,
        // Eight rows of two strips take twice the registers, for inputs that the cache has.
        kernel: lanesLinear(shape, rows, rows === 8 ? 1 : lanesStrips(shape), choice),
      }));
  return [
    ...few,
    ...(choice.reference ? [] : splitCandidates(shape)),
    { maxRows: mostSmallTiles(shape), kernel: tileLinear(shape, 32) },
    { maxRows: Infinity, kernel: tileLinear(shape, 64) },
  ];
}

/** Workgroups of 128 threads that a kernel should have for large GPUs, which compute a hundred and more at a time. */
const ENOUGH_LANES = 128;

/** Tiles are computed by 64 threads: two subgroups, of which such a GPU has room for several hundred at a time. */
const ENOUGH_TILES = 256;

/**
 * Quantised weights are few bytes a workgroup, and with two strips a compiler leaves the loop rolled (bench/static: 5 loads
 * under way in place of 14): two strips are for matrices that have workgroups to spare.
 */
const ENOUGH_QUANTISED_LANES = 1024;

/** Two strips a group of lanes reuse the inputs; one if that leaves too few workgroups. */
function lanesStrips({ strips, dtype }: LinearShape): 1 | 2 {
  const enough = isQuantised(dtype) ? ENOUGH_QUANTISED_LANES : ENOUGH_LANES;
  return Math.ceil(strips / 4) < enough ? 1 : 2;
}

/** Rows up to which tiles of 64 are too few, or half empty. */
function mostSmallTiles(shape: LinearShape): number {
  return Math.max(32, 64 * Math.floor(ENOUGH_TILES / columnTiles(shape)));
}

/** Inputs that a workgroup should sum up at least: its own start and the second dispatch cost about as much. */
const LEAST_SPLIT_INPUTS = 128;

/** Where tiles of 32 rows are too few: as many parts as there is room for, fewer for more rows. */
function splitCandidates(shape: LinearShape): readonly RowRange[] {
  const tiles = columnTiles(shape);
  return [...splitCounts].reverse().flatMap((parts) => {
    const maxRows = 32 * Math.floor(ENOUGH_TILES / (tiles * parts));
    const worthwhile = maxRows > 0 && shape.K >= parts * LEAST_SPLIT_INPUTS;
    return worthwhile ? [{ maxRows, kernel: splitLinear(shape, parts) }] : [];
  });
}

const ANY = Number.POSITIVE_INFINITY;

/** Name, rows for which it is worth a try, and how the kernel is made. */
const variants: readonly (readonly [
  name: string,
  rows: readonly [least: number, most: number],
  make: (shape: LinearShape, choice: LinearChoice) => Kernel,
])[] = [
  ["register1x1", [1, 2], (shape) => registerLinear(shape, 1, 1)],
  ["register1x2", [1, 2], (shape) => registerLinear(shape, 1, 2)],
  ["register2x1", [2, 4], (shape) => registerLinear(shape, 2, 1)],
  ["register2x2", [2, 4], (shape) => registerLinear(shape, 2, 2)],
  ["register4x1", [4, 32], (shape) => registerLinear(shape, 4, 1)],
  ["register4x2", [4, ANY], (shape) => registerLinear(shape, 4, 2)],
  ["register6x1", [6, 12], (shape) => registerLinear(shape, 6, 1)],
  ["register6x2", [6, ANY], (shape) => registerLinear(shape, 6, 2)],
  ["register8x1", [8, ANY], (shape) => registerLinear(shape, 8, 1)],
  ["register8x2", [8, ANY], (shape) => registerLinear(shape, 8, 2)],
  ["lanes1x1", [1, 1], (shape, choice) => lanesLinear(shape, 1, 1, choice)],
  ["lanes1x2", [1, 1], (shape, choice) => lanesLinear(shape, 1, 2, choice)],
  ["lanes2x1", [2, 2], (shape, choice) => lanesLinear(shape, 2, 1, choice)],
  ["lanes2x2", [2, 2], (shape, choice) => lanesLinear(shape, 2, 2, choice)],
  ["lanes4x1", [4, 4], (shape, choice) => lanesLinear(shape, 4, 1, choice)],
  ["lanes4x2", [4, 4], (shape, choice) => lanesLinear(shape, 4, 2, choice)],
  ["lanes8x1", [6, 8], (shape, choice) => lanesLinear(shape, 8, 1, choice)],
  ["tile32", [6, ANY], (shape) => tileLinear(shape, 32)],
  ["tile64", [6, ANY], (shape) => tileLinear(shape, 64)],
];

export function linearOperation(shape: LinearShape, choice: LinearChoice): Operation {
  const { K, N, strips, dtype, epilogue } = shape;
  const part = strips === Math.ceil(N / 4) ? "" : `/${strips * 4}`;
  return {
    name: `linear ${epilogueShader(epilogue).operation}`,
    shape: `${K}x${N}${part}`,
    dtype,
    guess: linearKernels(shape, choice),
    variants: () => {
      // Where heads straddle strips, one kernel alone reads the variants of an edge mask.
      if (!servesGroups(shape)) return [];
      const own = { ...shape, anyShape: choice.family === "register" };
      const whole = variants.map(([name, rows, make]): KernelVariant => ({ name, rows, kernel: make(own, choice) }));
      const all = [...whole, ...splitVariants(shape)];
      // A gate and its up are neighbours: one strip a thread is then two.
      return all.filter(({ kernel }, i) => all.findLastIndex((other) => other.kernel.name === kernel.name) === i);
    },
  };
}

/** Fewer rows go by lanes, which share out K as it is. */
const FEWEST_SPLIT_ROWS = 6;

/** Only register kernels sum single heads. */
function splitVariants(shape: LinearShape): readonly KernelVariant[] {
  if (shape.heads) return [];
  return splitCounts
    .map((parts): KernelVariant => {
      const rows = [FEWEST_SPLIT_ROWS, mostSplitRows(shape, parts)] as const;
      return { name: `split${parts}`, rows, kernel: splitLinear(shape, parts) };
    })
    .filter(({ rows: [least, most] }) => least <= most);
}
