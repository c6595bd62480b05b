/** The designs of linear kernels: shaders/linear/. */
import type { Kernel } from "./kernel.ts";
import { describe } from "./linear-describe.ts";
import { columnTiles, type LinearShape } from "./linear-shape.ts";

/** Rows that a thread of the register kernel can own. */
export type RegisterRows = 1 | 2 | 4 | 6 | 8;

/**
 * Rows × strips in registers, no workgroup memory; class `serial`.
 * @param rows rows a thread
 * @param strips strips a thread; the default is what measured best (bench/kernels/linear.md). `gated` always takes 2,
 *   since a gate and its up are neighbours
 */
export function registerLinear(shape: LinearShape, rows: RegisterRows, strips: 1 | 2 = rows === 1 ? 1 : 2): Kernel {
  const each = shape.epilogue.kind === "gated" ? 2 : strips;
  return describe(shape, {
    design: `register${rows}x${each}`,
    entry: "linear/register",
    summation: "serial",
    conditions: { rows_2: rows >= 2, rows_4: rows >= 4, rows_6: rows >= 6, rows_8: rows >= 8, two_strips: each === 2 },
    constants: { ROWS: `${rows}u`, STRIPS_EACH: `${each}u` },
    workgroups: (m) => [Math.ceil(m / rows), Math.ceil(shape.strips / each / 32), 1],
  });
}

/** A thread per strip and four rows that looks its variants up, for any head width; class `serial`. */
export function groupedLinear(shape: LinearShape): Kernel {
  const mixed = shape.epilogue.kind === "qkv" && shape.epilogue.headDim % 4 !== 0;
  return describe(shape, {
    design: "grouped",
    entry: "linear/grouped",
    summation: "serial",
    conditions: { mixed },
    constants: {},
    workgroups: (m) => [Math.ceil(shape.strips / 32), Math.ceil(m / 4), 1],
  });
}

/**
 * Tiles in workgroup memory, of 64 outputs and so many rows; class `serial`.
 * @param rows 64: 8×8 a thread; 32: 4×8, twice as many workgroups, half of the reuse of weights
 */
export function tileLinear(shape: LinearShape, rows: 32 | 64 = 64): Kernel {
  const tiles = columnTiles(shape);
  return describe(shape, {
    design: `tile${rows}`,
    entry: "linear/tile",
    summation: "serial",
    conditions: { rows_64: rows === 64, ragged: Math.ceil(shape.K / 4) % 2 !== 0 },
    constants: { ROWS_EACH: `${rows / 8}u` },
    workgroups: (m) => [tiles, Math.ceil(m / rows), 1],
  });
}

/**
 * 64 lanes along K, for at most `rows` rows; class `lanes64_quads` with subgroups, else `lanes64_spans`.
 * @param strips strips a group of lanes. `gated` always takes 2, since a gate and its up are neighbours
 */
export function lanesLinear(
  shape: LinearShape,
  rows: 1 | 2 | 4,
  strips: 1 | 2 = 2,
  { subgroups = false }: { readonly subgroups?: boolean } = {},
): Kernel {
  const each = shape.epilogue.kind === "gated" ? 2 : strips;
  return describe(shape, {
    design: `lanes${rows}x${each}${subgroups ? "_quads" : ""}`,
    entry: "linear/lanes",
    summation: subgroups ? "lanes64_quads" : "lanes64_spans",
    conditions: {
      rows_2: rows >= 2,
      rows_4: rows >= 4,
      two_strips: each === 2,
      quads: subgroups,
      ragged: Math.ceil(shape.K / 4) % 64 !== 0,
    },
    constants: { ROWS: `${rows}u`, STRIPS_EACH: `${each}u` },
    workgroups: () => [Math.ceil(shape.strips / (2 * each)), 1, 1],
  });
}
