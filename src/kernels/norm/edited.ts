/** Norm of rows that stages edit: shaders/norm/edited.wgsl. */
import type { Kernel } from "../kernel.ts";
import { flag, type NormChoice, type NormShape, normThreads } from "./norm.ts";

const SITES = ["delta", "resid_post", "resid_pre", "out"] as const;

/** Most coordinates that a group of affine stages can have: they take half of the workgroup memory that is guaranteed. */
export const MOST_RANKS = 2048;

export interface EditedNormShape extends NormShape {
  /** The residual add was moved into some norm of this kernel. */
  readonly deltas: boolean;
  /** An edge mask reads or keeps sources in some norm of this kernel. */
  readonly sourced: boolean;
  /** Changes that no source wrote are recorded for destinations in the kept form. */
  readonly tracked: boolean;
  /** Some norm carries stages of single elements. */
  readonly scales: boolean;
  /** Most coordinates of one group of affine stages; 0 if they only add. */
  readonly ranks: number;
  /** Each sequence has a program of its own: arg `program` in place of `groups`, `list_norm` and `mask`. */
  readonly programs?: boolean;
}

/**
 * The kernel for a family, which serves every number of rows. Args: those of the plain norm, `record_stride`,
 * `variant_stride`, `slot_stride`, `first_variant`, and the row's program as the stage table has it. The dispatch asks for `variants` variants.
 */
export function editedNormKernel(shape: EditedNormShape, variants: number, choice: NormChoice): Kernel {
  const { kind, width, outs = false, maxRows, deltas, sourced, tracked, scales, programs = false } = shape;
  const ranks = rankClass(shape.ranks);
  // The threads of a quad keep copies of all coordinates.
  const subgroups = choice.subgroups === true && ranks <= MOST_RANKS / 2;
  const { threads, design, conditions: meeting, constants } = normThreads(width, { ...choice, subgroups });
  const layer = kind === "layer";
  const taps = tapsOf(shape);
  const switches = { deltas, sourced, tracked, scales, programs };
  const flagged = notesOverflow(shape);
  const on = Object.entries(switches).flatMap(([name, value]) => (value ? [name] : []));
  return {
    name: [
      "norm_edited",
      design,
      kind,
      `${width}`,
      `r${ranks}`,
      ...on,
      ...(outs ? ["outs"] : []),
      `m${maxRows}`,
      ...flag(flagged),
      ...taps,
    ].join("_"),
    shader: {
      entry: "norm/edited",
      conditions: {
        layer,
        outs,
        flagged,
        stacked: true,
        ...meeting,
        ...switches,
        reads: ranks > 0,
        many: ranks > 1,
        ...Object.fromEntries(taps.map((site) => [`tap_${site}`, true])),
      },
      constants: {
        D: `${width}u`,
        D4: `${Math.ceil(width / 4)}u`,
        MAX_ROWS: `${maxRows}u`,
        ...(ranks > 0 && { RANKS: `${ranks}u` }),
        ...constants,
      },
    },
    summation: `workgroup${threads}`,
    workgroups: (rows) => [rows, variants, 1],
    cost: ({ rows }) => ({
      flops: rows * variants * width * (layer ? 7 : 4),
      bytes: (rows * width * (2 + variants) + width * (layer ? 2 : 1)) * 4,
    }),
  };
}

/**
 * Whether the kernel notes rows that leave float32 (arg `rank`). With all else that can be bound, that would be a ninth storage
 * buffer: such rows become NaN anyway.
 */
export function notesOverflow(shape: EditedNormShape): boolean {
  const { flagged = false, deltas, sourced, outs = false } = shape;
  return flagged && !(tapsOf(shape).length > 0 && deltas && sourced && !outs);
}

function tapsOf({ taps = [], deltas }: EditedNormShape): readonly string[] {
  return SITES.filter((site) => taps.includes(site) && (site !== "delta" || deltas));
}

/** Workgroup memory is sized by classes, so that bundles of similar rank share a kernel. Those up to 1 have simpler code. */
function rankClass(ranks: number): number {
  return ranks <= 1 ? ranks : Math.max(4, 2 ** Math.ceil(Math.log2(ranks)));
}
