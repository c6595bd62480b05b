/**
 * Linear layers: y = W·x + b for every row of a step, with what follows it folded in. Shaders: shaders/linear/.
 *
 * A matrix is served by a list of kernels, each good up to some number of rows. All of class `serial` agree bit for
 * bit, whatever the family, the number of rows and the tiling. This module chooses; the kernels are described in
 * linear-designs.ts.
 */
import type { KernelFamily, RowRange } from "../kernel.ts";
import { groupedLinear, lanesLinear, registerLinear, splitCounts, splitLinear, tileLinear } from "./designs.ts";
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
export {
  type LinearEpilogue,
  type LinearShape,
  linearLists,
  linearOutputWidth4,
  linearTaps,
  servesGroups,
  type WeightDtype,
} from "./shape.ts";

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
    return [
      { maxRows: 1, kernel: registerLinear(shape, 1) },
      { maxRows: 2, kernel: registerLinear(shape, 2) },
      { maxRows: 4, kernel: registerLinear(shape, 4) },
      { maxRows: 6, kernel: registerLinear(shape, 6) },
      { maxRows: 8, kernel: registerLinear(shape, 8) },
      { maxRows: 12, kernel: registerLinear(shape, 6) },
      { maxRows: Infinity, kernel: registerLinear(shape, 8) },
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

/** Two strips a group of lanes reuse the inputs; one where that leaves too few workgroups. */
function lanesStrips({ strips, dtype }: LinearShape): 1 | 2 {
  const enough = dtype === "q4" || dtype === "q8" ? ENOUGH_QUANTISED_LANES : ENOUGH_LANES;
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
