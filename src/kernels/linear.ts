/**
 * Linear layers: y = W·x + b for every row of a step, with what follows it folded in. Shaders: shaders/linear/.
 *
 * A matrix is served by a list of kernels, each good up to some number of rows. All of class `serial` agree bit for
 * bit, whatever the family, the number of rows and the tiling.
 */
import type { ActivationName } from "../models/config.ts";
import type { ArgField, Kernel, KernelBinding, KernelFamily } from "./kernel.ts";
import { linearCost } from "./linear-cost.ts";

/**
 * How the matrix lies in GPU memory, in strips (src/formats/strips.ts, quantized-strips.ts); 16-bit types and quantised
 * weights are widened as they are read.
 */
export type WeightDtype = "f32" | "f16" | "bf16" | "q8" | "q4";

/** What becomes of the sums. Taps that each offers, in order: see {@link linearTaps}. */
export type LinearEpilogue =
  /** y = acc + b. */
  | { readonly kind: "store" }
  /** y = act(acc + b). */
  | { readonly kind: "activation"; readonly activation: ActivationName }
  /** y = residual + (acc + b). */
  | { readonly kind: "residual" }
  /** Strips alternate gate, up, gate, up …; y = act(gate) · up, half as wide. */
  | { readonly kind: "gated"; readonly activation: ActivationName }
  /** Outputs are H·dh queries, G·dh keys and G·dh values; q is stored, k and v go to the cache slots of their rows. */
  | {
      readonly kind: "qkv";
      /** H. */
      readonly heads: number;
      /** G. */
      readonly kvHeads: number;
      /** dh; even if `rope`. */
      readonly headDim: number;
      /** Rotate q and k by the table `rope` [position][dh/2] = (cos, sin); pairs are adjacent outputs. */
      readonly rope: boolean;
    };

export interface LinearShape {
  /** Inputs, exact; a row of the input is ceil4(K) floats. */
  readonly K: number;
  /** Outputs of the whole matrix, exact; `gated`: both halves, each padded to whole strips (2·ceil4(f)). */
  readonly N: number;
  /** Strips in this part: ceil(N/4) unless the matrix is cut at the binding limit. Even for `gated`. */
  readonly strips: number;
  readonly dtype: WeightDtype;
  readonly epilogue: LinearEpilogue;
  readonly bias: boolean;
  /** Sites captured, out of {@link linearTaps}. */
  readonly taps: readonly string[];
  /** Values that neuron_scale stages edit, out of {@link linearLists}: args `record_stride` and a `list_` for each. */
  readonly edits?: readonly string[];
  /** Several stages may follow one another at one of these values. */
  readonly stacked?: boolean;
  /** The value at mlp_out is kept in the source table, where arg `source` says. */
  readonly sourced?: boolean;
  /**
   * The sums of single heads are kept as well (class `serial`, the register kernels alone): args `heads`, the vec4 of their
   * list in the stage table, `head_count` and `slot_stride`. Inputs are H·dh, and dh is a multiple of 4, of 32 where
   * weights are quantised.
   */
  readonly heads?: {
    /** H. */
    readonly count: number;
    /** dh. */
    readonly head_dim: number;
    /** b/H is part of each. */
    readonly bias: boolean;
    /** How many are summed, for the cost. */
    readonly listed: number;
  };
  /** `qkv`: heads read variants of the input; arg `variant_stride`, and `variants`, one a group of head_dim outputs. */
  readonly grouped?: boolean;
  /** Rows are the step's out rows, packed in the input, instead of all rows. */
  readonly outs?: boolean;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
}

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

const tapsOf = {
  store: [],
  activation: ["pre", "post"],
  residual: ["out"],
  gated: ["gate", "up", "post"],
  qkv: ["q", "k", "v"],
} as const satisfies Record<LinearEpilogue["kind"], readonly string[]>;

/** Names of the values that a linear kernel with this epilogue can capture. */
export function linearTaps(kind: LinearEpilogue["kind"]): readonly string[] {
  return tapsOf[kind];
}

const listsOf = {
  store: ["out"],
  activation: ["pre", "post"],
  residual: ["out"],
  gated: ["gate", "up", "post"],
  qkv: [],
} as const satisfies Record<LinearEpilogue["kind"], readonly string[]>;

/** Names of the values that stages can edit in a linear kernel with this epilogue. */
export function linearLists(kind: LinearEpilogue["kind"]): readonly string[] {
  return listsOf[kind];
}

/** Width of a stored output row in vec4s, over the whole matrix; for `qkv` that of q. */
export function linearOutputWidth4(shape: Pick<LinearShape, "N" | "epilogue">): number {
  const { epilogue } = shape;
  if (epilogue.kind === "qkv") return Math.ceil((epilogue.heads * epilogue.headDim) / 4);
  const strips = Math.ceil(shape.N / 4);
  return epilogue.kind === "gated" ? strips / 2 : strips;
}

/**
 * The kernels that serve a matrix, in order: M rows take the first whose `maxRows` is at least M.
 *
 * - register: matrix-vector for one row, then blocks of 2, 4, 6 and 8 rows in registers, since a block computes all of its
 *   rows whether they exist or not. Always `serial`.
 * - tiled: lanes along K for up to four rows, then tiles in workgroup memory, of 32 rows while those of 64 would leave
 *   most of a GPU idle. For the reference plan few rows take the register kernel instead, and everything is `serial`.
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

/**
 * Whether the kernels of a family can serve this shape's heads. Where they read different variants, two neighbouring
 * strips must belong to one head, and tiles count heads from the matrix's beginning, so it must not be cut.
 */
export function servesGroups({ grouped, epilogue, N, strips }: LinearShape): boolean {
  if (!grouped) return true;
  return epilogue.kind === "qkv" && epilogue.headDim % 8 === 0 && strips === Math.ceil(N / 4);
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

function columnTiles(shape: LinearShape): number {
  return shape.grouped ? headGroups(shape) * Math.ceil(headDim(shape) / 64) : Math.ceil(shape.strips / 16);
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

/** Groups of head_dim outputs that read one variant each: H queries, G keys, G values. */
function headGroups({ epilogue }: LinearShape): number {
  return epilogue.kind === "qkv" ? epilogue.heads + 2 * epilogue.kvHeads : 0;
}

function headDim({ epilogue }: LinearShape): number {
  return epilogue.kind === "qkv" ? epilogue.headDim : 0;
}

/** What distinguishes one kernel design; the rest follows from the shape. */
interface Design {
  readonly design: string;
  readonly entry: string;
  readonly summation: string;
  readonly conditions: Readonly<Record<string, boolean>>;
  readonly constants: Readonly<Record<string, string>>;
  workgroups(rows: number): readonly [number, number, number];
}

function describe(shape: LinearShape, design: Design): Kernel {
  const { K, N, strips, dtype, epilogue, bias, outs = false, maxRows } = shape;
  const { sourced = false, grouped = false, stacked = false, heads } = shape;
  const edits = editsOf(shape);
  const taps = tapsOf[epilogue.kind].filter((tap) => shape.taps.includes(tap));
  const k4 = Math.ceil(K / 4);
  const whole = strips === Math.ceil(N / 4);
  const words = [
    `linear_${design.design}_${dtype}_${K}x${N}${whole ? "" : `_part${strips}`}`,
    epilogueName(epilogue),
    bias ? "bias" : "",
    outs ? "outs" : "",
    edits.length > 0 ? `edits_${edits.join("_")}${stacked ? "_stacked" : ""}` : "",
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
        ...epilogueConditions(epilogue),
        [dtype]: true,
        bias,
        outs,
        ...(edits.length > 0 && { staged: true, stacked }),
        ...Object.fromEntries(edits.map((name) => [`edits_${name}`, true])),
        ...(sourced && { sourced }),
        ...(heads && { heads: true, head_bias: heads.bias }),
        ...(grouped && { grouped }),
        ...Object.fromEntries(taps.map((tap) => [`tap_${tap}`, true])),
      },
      constants: {
        MAX_ROWS: `${maxRows}u`,
        K4: `${k4}u`,
        STRIPS: `${strips}u`,
        OUT4: `${linearOutputWidth4(shape)}u`,
        ...epilogueConstants(epilogue),
        HEAD_GROUPS: `${headGroups(shape)}u`,
        ...(heads && { HEAD_DIM: `${heads.head_dim}u`, HEADS: `${heads.count}u` }),
        GROUPS4: `${Math.ceil(headGroups(shape) / 4)}u`,
        ...design.constants,
      },
    },
    bindings: bindings(shape, taps.length > 0),
    args: args(shape, taps),
    summation: design.summation,
    workgroups: (rows) => design.workgroups(rows),
    cost: ({ rows }) => linearCost(shape, rows),
  };
}

/** The edited values in the order of the kernel's args. */
function editsOf({ epilogue, edits = [] }: LinearShape): readonly string[] {
  return listsOf[epilogue.kind].filter((name) => edits.includes(name));
}

function epilogueName(epilogue: LinearEpilogue): string {
  switch (epilogue.kind) {
    case "activation":
      return epilogue.activation;
    case "gated":
      return `gated_${epilogue.activation}`;
    case "qkv":
      return `qkv${epilogue.heads}_${epilogue.kvHeads}_${epilogue.headDim}${epilogue.rope ? "_rope" : ""}`;
    default:
      return epilogue.kind;
  }
}

function epilogueConditions(epilogue: LinearEpilogue): Record<string, boolean> {
  switch (epilogue.kind) {
    case "activation":
    case "gated":
      return { [epilogue.kind]: true, [epilogue.activation]: true };
    case "qkv":
      return { qkv: true, rope: epilogue.rope, vec4_heads: epilogue.headDim % 4 === 0 };
    default:
      return { [epilogue.kind]: true };
  }
}

function epilogueConstants(epilogue: LinearEpilogue): Record<string, string> {
  if (epilogue.kind !== "qkv") return {};
  const { heads, kvHeads, headDim } = epilogue;
  return { DH: `${headDim}u`, Q: `${heads * headDim}u`, KV: `${kvHeads * headDim}u` };
}

function bindings(shape: LinearShape, taps: boolean): readonly KernelBinding[] {
  const { epilogue, bias, sourced, heads } = shape;
  const list: KernelBinding[] = [
    { name: "args", binding: 0, access: "args" },
    { name: "weights", binding: 1, access: "read" },
    { name: "input", binding: 2, access: "read" },
  ];
  if (bias) list.push({ name: "params", binding: 3, access: "read" });
  if (epilogue.kind === "qkv") {
    list.push({ name: "q", binding: 4, access: "read_write" });
    if (epilogue.rope) list.push({ name: "rope", binding: 5, access: "read" });
    list.push(
      { name: "k_cache", binding: 6, access: "read_write" },
      { name: "v_cache", binding: 7, access: "read_write" },
    );
  } else {
    list.push({ name: "output", binding: 4, access: "read_write" });
    if (epilogue.kind === "residual") list.push({ name: "residual", binding: 5, access: "read" });
  }
  if (taps) list.push({ name: "capture", binding: 8, access: "read_write" });
  if (editsOf(shape).length > 0 || heads) list.push({ name: "stages", binding: 9, access: "read" });
  if (sourced || heads) list.push({ name: "sources", binding: 10, access: "read_write" });
  return list;
}

function args(shape: LinearShape, taps: readonly string[]): readonly ArgField[] {
  const { bias, sourced, heads, grouped } = shape;
  const plain = (name: string): ArgField => ({ name, type: "u32" });
  const edits = editsOf(shape);
  const fields = [
    plain("first_strip"),
    ...(bias ? [plain("bias")] : []),
    ...(edits.length > 0 ? [plain("record_stride")] : []),
    ...edits.map((name): ArgField => ({ name: `list_${name}`, type: "u32", vec4s: 1 })),
    ...(sourced ? [plain("source")] : []),
    ...(heads ? ["heads", "head_count", "slot_stride"].map(plain) : []),
    ...(grouped ? [plain("variant_stride")] : []),
    ...taps.map((tap) => plain(`tap_${tap}`)),
  ];
  return grouped ? [...fields, { name: "variants", type: "u32", vec4s: Math.ceil(headGroups(shape) / 4) }] : fields;
}
