/** Layer norm and RMS norm of rows of the stream: shaders/norm/. */
import type { ArgField, Kernel, KernelBinding, KernelFamily } from "./kernel.ts";
import type { RowRange } from "./variants.ts";

const SITES = ["resid_post", "resid_pre", "out"] as const;

export interface NormShape {
  readonly kind: "layer" | "rms";
  /** d; any width, rows are padded to a multiple of 4. */
  readonly width: number;
  /** Normalise the rows that go through the head: output row i is made from step row `outs[i].row`. */
  readonly outs?: boolean;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
  /** `resid_post` and `resid_pre` store the row as it was read, `out` the normed row. */
  readonly taps?: readonly string[];
}

/**
 * The kernels that norm a family's rows, by ascending row count; the last serves any number. Args: `gain` and `bias`
 * (offsets into params in vec4s; RMS norm has no bias), `eps`, taps. With `outs`, rows means out rows.
 * All kernels of one family are of one summation class, so the reference plan uses the same ones.
 */
export function normKernels(
  shape: NormShape,
  { family }: { readonly family: KernelFamily; readonly reference?: boolean },
): readonly RowRange[] {
  if (family === "tiled") return [{ maxRows: Infinity, kernel: tiledNorm(shape) }];
  return [
    { maxRows: 1, kernel: registerNorm(shape, 4) },
    { maxRows: Infinity, kernel: registerNorm(shape, 1) },
  ];
}

/** A workgroup of four threads; `lanes` of them share a row. */
export function registerNorm(shape: NormShape, lanes: 1 | 4): Kernel {
  return {
    ...describe(shape, `register${lanes}`, "norm/register", { LANES: `${lanes}u` }),
    summation: "vec4_serial",
    workgroups: (rows) => [Math.ceil((rows * lanes) / 4), 1, 1],
  };
}

/** A workgroup a row: 64 threads up to a width of 1024, then 256, so that a thread holds at most 4 vec4s up to 4096. */
function tiledNorm(shape: NormShape): Kernel {
  const span = shape.width <= 1024 ? 8 : 16;
  const threads = span * span;
  return {
    ...describe(shape, `tiled${threads}`, "norm/tiled", { THREADS: `${threads}u`, SPAN: `${span}u` }),
    summation: `workgroup${threads}`,
    workgroups: (rows) => [rows, 1, 1],
  };
}

/** What all variants share. */
function describe(
  { kind, width, outs = false, maxRows, taps: wanted }: NormShape,
  variant: string,
  entry: string,
  constants: Readonly<Record<string, string>>,
): Omit<Kernel, "summation" | "workgroups"> {
  const layer = kind === "layer";
  const taps = SITES.filter((site) => wanted?.includes(site));
  const args: ArgField[] = [
    { name: "gain", type: "u32" },
    ...(layer ? [{ name: "bias", type: "u32" } as const] : []),
    { name: "eps", type: "f32" },
    ...taps.map((site) => ({ name: `tap_${site}`, type: "u32" }) as const),
  ];
  const bindings: KernelBinding[] = [
    { name: "args", binding: 0, access: "args" },
    { name: "input", binding: 1, access: "read" },
    { name: "params", binding: 2, access: "read" },
    { name: "output", binding: 4, access: "read_write" },
    ...(taps.length > 0 ? [{ name: "capture", binding: 8, access: "read_write" } as const] : []),
  ];
  return {
    name: ["norm", variant, kind, `${width}`, ...(outs ? ["outs"] : []), `m${maxRows}`, ...taps].join("_"),
    shader: {
      entry,
      conditions: { layer, outs, ...Object.fromEntries(taps.map((site) => [`tap_${site}`, true])) },
      constants: { ...constants, D: `${width}u`, D4: `${Math.ceil(width / 4)}u`, MAX_ROWS: `${maxRows}u` },
    },
    bindings,
    args,
    cost: ({ rows }) => ({
      flops: rows * width * (layer ? 7 : 4),
      bytes: (rows * width * 2 + width * (layer ? 2 : 1)) * 4,
    }),
  };
}
