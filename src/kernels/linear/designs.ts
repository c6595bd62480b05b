/** The designs of linear kernels (shaders/linear/), and what all of them have in common: name, source and cost. */
import type { Kernel } from "../kernel.ts";
import { isQuantised, weightConditions } from "../weight-dtype.ts";
import { epilogueShader, linearLists, linearTaps } from "./epilogue.ts";
import {
  columnTiles,
  headGroups,
  type LinearShape,
  linearCost,
  linearOutputWidth4,
  mergeCost,
  partialBytes,
  splitCost,
} from "./shape.ts";

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
 * Tiles in workgroup memory, of 64 outputs and that many rows; class `serial`.
 * @param rows 64: 8×8 a thread; 32: 4×8, twice as many workgroups, half of the reuse of weights
 */
export function tileLinear(shape: LinearShape, rows: 32 | 64 = 64): Kernel {
  const tiles = columnTiles(shape);
  return describe(shape, {
    design: `tile${rows}`,
    entry: "linear/tile",
    summation: "serial",
    conditions: { extracts: true, rows_64: rows === 64, ragged: Math.ceil(shape.K / 4) % 2 !== 0 },
    constants: { ROWS_EACH: `${rows / 8}u`, PARTS: "1u" },
    workgroups: (m) => [tiles, Math.ceil(m / rows), 1],
  });
}

/** Parts of K that workgroups of their own can sum up. */
export const splitCounts = [2, 4, 8] as const;
export type SplitCount = (typeof splitCounts)[number];

/** Partial sums take at most this much: sessions keep a buffer for them, and a cache should. */
export const MOST_PARTIAL_BYTES = 2 << 20;

/** Rows whose partial sums fit; 0 where not even one row's do. */
export function mostSplitRows(shape: LinearShape, parts: SplitCount): number {
  return Math.floor(MOST_PARTIAL_BYTES / partialBytes(shape, parts, 1));
}

/**
 * Tiles of 32 rows × 64 outputs, K dealt to `parts` workgroups each, and a second kernel that adds their sums up and does
 * what follows; for up to {@link mostSplitRows} rows. Class `serial_parts<parts>`.
 */
export function splitLinear(shape: LinearShape, parts: SplitCount): Kernel {
  const tiles = columnTiles(shape);
  const summation = `serial_parts${parts}`;
  const first = describe(shape, {
    design: `split${parts}`,
    half: "split",
    entry: "linear/tile",
    summation,
    conditions: { extracts: true, rows_64: false, ragged: Math.ceil(shape.K / 4) % (2 * parts) !== 0 },
    constants: { ROWS_EACH: "4u", PARTS: `${parts}u` },
    workgroups: (m) => [tiles, Math.ceil(m / 32), parts],
  });
  const merge = describe(shape, {
    design: `merge${parts}`,
    half: "merge",
    entry: "linear/merge",
    summation,
    conditions: {},
    constants: { PARTS: `${parts}u` },
    workgroups: (m) => [Math.ceil(shape.strips / 2 / 64), m, 1],
  });
  return {
    ...first,
    cost: ({ rows }) => splitCost(shape, parts, rows),
    split: {
      merge: { ...merge, cost: ({ rows }) => mergeCost(shape, parts, rows) },
      bytes: (rows) => partialBytes(shape, parts, rows),
    },
  };
}

/**
 * 64 lanes along K, for at most `rows` rows; class `lanes64_quads` with subgroups, else `lanes64_spans`.
 * @param strips strips a group of lanes. `gated` always takes 2, since a gate and its up are neighbours
 */
export function lanesLinear(
  shape: LinearShape,
  rows: 1 | 2 | 4 | 8,
  strips: 1 | 2 = 2,
  { subgroups = false }: { readonly subgroups?: boolean } = {},
): Kernel {
  const each = shape.epilogue.kind === "gated" ? 2 : strips;
  return describe(shape, {
    design: `lanes${rows}x${each}${subgroups ? "_quads" : ""}`,
    entry: "linear/lanes",
    summation: subgroups ? "lanes64_quads" : "lanes64_spans",
    conditions: {
      extracts: true,
      rows_2: rows >= 2,
      rows_4: rows >= 4,
      rows_8: rows >= 8,
      two_strips: each === 2,
      quads: subgroups,
      ragged: Math.ceil(shape.K / 4) % 64 !== 0,
    },
    constants: { ROWS: `${rows}u`, STRIPS_EACH: `${each}u` },
    workgroups: () => [Math.ceil(shape.strips / (2 * each)), 1, 1],
  });
}

/** What distinguishes one kernel design; the rest follows from the shape. */
interface Design {
  readonly design: string;
  readonly entry: string;
  readonly summation: string;
  /** `split`: leaves the sums of parts of K in a buffer; `merge`: adds those up. Absent: the whole layer. */
  readonly half?: "split" | "merge";
  readonly conditions: Readonly<Record<string, boolean>>;
  readonly constants: Readonly<Record<string, string>>;
  workgroups(rows: number): readonly [number, number, number];
}

function describe(whole: LinearShape, design: Design): Kernel {
  const shape = design.half ? halfOf(whole, design.half) : whole;
  const { K, N, strips, dtype, epilogue, bias, outs = false, maxRows } = shape;
  const { sourced = false, grouped = false, stacked = false, programs = false, heads } = shape;
  const edits = editsOf(shape);
  const ending = epilogueShader(epilogue);
  const taps = linearTaps(epilogue.kind).filter((tap) => shape.taps.includes(tap));
  const k4 = Math.ceil(K / 4);
  // The first half is the same for every epilogue, unless heads read variants; the second for every way to store weights.
  const follows = design.half !== "split";
  const reads = design.half !== "merge";
  const groups = grouped ? headGroups(shape) : 0;
  const anyShape = shape.anyShape === true && design.entry === "linear/register" && !isQuantised(dtype);
  const words = [
    `linear_${design.design}${reads ? `_${dtype}` : ""}_${K}x${N}${strips === Math.ceil(N / 4) ? "" : `_part${strips}`}`,
    follows || grouped ? ending.name : "",
    bias ? "bias" : "",
    outs ? "outs" : "",
    edits.length > 0 ? `edits_${edits.join("_")}${stacked ? "_stacked" : ""}${programs ? "_programs" : ""}` : "",
    sourced ? "sourced" : "",
    heads ? `heads${heads.count}${heads.bias ? "_shared_bias" : ""}` : "",
    grouped && design.entry !== "linear/grouped" ? "grouped" : "",
    taps.length > 0 ? `tap_${taps.join("_")}` : "",
    `of${maxRows}`,
  ];
  return {
    name: words.filter((word) => word !== "").join("_"),
    shader: {
      entry: design.entry,
      conditions: {
        ...design.conditions,
        ...(follows && ending.conditions),
        ...(design.half === "split" && { split: true }),
        ...(reads && weightConditions(dtype)),
        bias,
        outs,
        ...(edits.length > 0 && { staged: true, stacked, ...(programs && { programs }) }),
        ...Object.fromEntries(edits.map((name) => [`edits_${name}`, true])),
        ...(sourced && { sourced }),
        ...(heads && { heads: true, head_bias: heads.bias }),
        ...(grouped && { grouped }),
        ...Object.fromEntries(taps.map((tap) => [`tap_${tap}`, true])),
        ...(anyShape && { any_shape: true }),
      },
      constants: {
        MAX_ROWS: `${maxRows}u`,
        ...(!anyShape && { K4: `${k4}u`, STRIPS: `${strips}u`, OUT4: `${linearOutputWidth4(shape)}u` }),
        ...(!anyShape && (follows || grouped) && ending.constants),
        HEAD_GROUPS: `${groups}u`,
        GROUPS4: `${Math.ceil(groups / 4)}u`,
        ...(heads && { HEAD_DIM: `${heads.head_dim}u`, HEADS: `${heads.count}u` }),
        ...design.constants,
      },
    },
    ...(anyShape && { args: { k4, strips, out4: linearOutputWidth4(shape), ...ending.args } }),
    summation: design.summation,
    workgroups: (rows) => design.workgroups(rows),
    cost: ({ rows }) => linearCost(shape, rows),
  };
}

/** What one half of a split layer does of it. */
function halfOf(shape: LinearShape, half: "split" | "merge"): LinearShape {
  if (half === "merge") return { ...shape, grouped: false };
  return { ...shape, bias: false, taps: [], edits: [], stacked: false, sourced: false };
}

/** The edited values in the order of the kernel's args. */
function editsOf({ epilogue, edits = [] }: LinearShape): readonly string[] {
  return linearLists(epilogue.kind).filter((name) => edits.includes(name));
}
