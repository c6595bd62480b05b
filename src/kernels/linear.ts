/**
 * Linear layers: y = W·x + b for every row of a step, with what follows it folded in. Shaders: shaders/linear/.
 *
 * A matrix is served by a list of kernels, each good up to some number of rows. All of class `serial` agree bit for
 * bit, whatever the family, the number of rows and the tiling. This module chooses; the kernels are described in
 * linear-designs.ts.
 */
import type { Kernel, KernelFamily } from "./kernel.ts";
import { groupedLinear, lanesLinear, registerLinear, splitCounts, splitLinear, tileLinear } from "./linear-designs.ts";
import { columnTiles, type LinearShape, servesGroups } from "./linear-shape.ts";

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
} from "./linear-designs.ts";
export {
  type LinearEpilogue,
  type LinearShape,
  linearLists,
  linearOutputWidth4,
  linearTaps,
  servesGroups,
  type WeightDtype,
} from "./linear-shape.ts";

export interface LinearChoice {
  readonly family: KernelFamily;
  /** One summation class, `serial`, for every number of rows. */
  readonly reference: boolean;
  /** The device has WGSL's subgroups. */
  readonly subgroups?: boolean;
}

export interface LinearCandidate {
  /** This kernel serves up to so many rows; Infinity for the last. */
  readonly maxRows: number;
  readonly kernel: Kernel;
}

/**
 * The kernels that serve a matrix, in order: M rows take the first whose `maxRows` is at least M.
 *
 * - register: matrix-vector for one row, then blocks of 2, 4, 6 and 8 rows in registers, since a block computes all of its
 *   rows whether they exist or not. Always `serial`.
 * - tiled: lanes along K for up to four rows, then tiles in workgroup memory, of 32 rows while those of 64 would leave
 *   most of a GPU idle; K is split among workgroups while those of 32 would. For the reference plan few rows take the
 *   register kernel instead, nothing is split, and everything is `serial`.
 */
export function linearKernels(shape: LinearShape, choice: LinearChoice): readonly LinearCandidate[] {
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
  const few: readonly LinearCandidate[] = choice.reference
    ? [
        { maxRows: 1, kernel: registerLinear(shape, 1) },
        { maxRows: 4, kernel: registerLinear(shape, 4) },
      ]
    : ([1, 2, 4] as const).map((rows) => ({
        maxRows: rows,
        kernel: lanesLinear(shape, rows, lanesStrips(shape), choice),
      }));
  return [
    ...few,
    ...(choice.reference ? [] : splitCandidates(shape)),
    { maxRows: mostSmallTiles(shape), kernel: tileLinear(shape, 32) },
    { maxRows: Infinity, kernel: tileLinear(shape, 64) },
  ];
}

/** Workgroups that a kernel should have for large GPUs, which compute a hundred and more at a time. */
const ENOUGH_WORKGROUPS = 128;

/** Two strips a group of lanes reuse the inputs; one where that leaves too few workgroups. */
function lanesStrips({ strips }: LinearShape): 1 | 2 {
  return Math.ceil(strips / 4) < ENOUGH_WORKGROUPS ? 1 : 2;
}

/** Rows up to which tiles of 64 are too few, or half empty. */
function mostSmallTiles(shape: LinearShape): number {
  return Math.max(32, 64 * Math.floor(ENOUGH_WORKGROUPS / columnTiles(shape)));
}

/** Inputs that a workgroup should sum up at least: its own start and the second dispatch cost about as much. */
const LEAST_SPLIT_INPUTS = 128;

/** Where tiles of 32 rows are too few: as many parts as there is room for, fewer for more rows. */
function splitCandidates(shape: LinearShape): readonly LinearCandidate[] {
  const tiles = columnTiles(shape);
  return [...splitCounts].reverse().flatMap((parts) => {
    const maxRows = 32 * Math.floor(ENOUGH_WORKGROUPS / (tiles * parts));
    const worthwhile = maxRows > 0 && shape.K >= parts * LEAST_SPLIT_INPUTS;
    return worthwhile ? [{ maxRows, kernel: splitLinear(shape, parts) }] : [];
  });
}
