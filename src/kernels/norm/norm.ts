/** Layer norm and RMS norm of rows of the stream: shaders/norm/. */
import type { Kernel, KernelFamily } from "../kernel.ts";

const SITES = ["resid_post", "resid_pre", "out"] as const;

export interface NormShape {
  readonly kind: "layer" | "rms";
  /** d; any width, rows are padded to a multiple of 4. */
  readonly width: number;
  /** Normalise the rows that go through the head: output row i is made from step row `outs[i].row`. */
  readonly outs?: boolean;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
  /** Rows that leave float32 are noted in binding `overflow`, u32 by sequence: arg `rank`, see norm/overflow.wgsl. */
  readonly flagged?: boolean;
  /** `resid_post` and `resid_pre` store the row as it was read, `out` the normed row. */
  readonly taps?: readonly string[];
}

export interface NormChoice {
  readonly family: KernelFamily;
  /** The device has WGSL's subgroups. */
  readonly subgroups?: boolean;
}

/**
 * The kernel that norms rows, however many. Args: `gain` and `bias` (offsets into params in vec4s; RMS norm has no bias),
 * `eps`, taps. With `outs`, rows means out rows. A family has one summation class, also under the reference plan.
 */
export function normKernel(shape: NormShape, choice: NormChoice): Kernel {
  const { kind, width, outs = false, maxRows, flagged = false, taps: wanted } = shape;
  const { threads, design, conditions: meeting, constants } = normThreads(width, choice);
  const layer = kind === "layer";
  const taps = SITES.filter((site) => wanted?.includes(site));
  return {
    name: ["norm", design, kind, `${width}`, ...(outs ? ["outs"] : []), `m${maxRows}`, ...flag(flagged), ...taps].join(
      "_",
    ),
    shader: {
      entry: "norm/norm",
      conditions: {
        layer,
        outs,
        flagged,
        ...meeting,
        ...Object.fromEntries(taps.map((site) => [`tap_${site}`, true])),
      },
      constants: {
        D: `${width}u`,
        D4: `${Math.ceil(width / 4)}u`,
        MAX_ROWS: `${maxRows}u`,
        ...constants,
      },
    },
    summation: `workgroup${threads}`,
    workgroups: (rows) => [rows, 1, 1],
    cost: ({ rows }) => ({
      flops: rows * width * (layer ? 7 : 4),
      bytes: (rows * width * 2 + width * (layer ? 2 : 1)) * 4,
    }),
  };
}

/** The part of a kernel's name that says that it notes such rows. */
export function flag(flagged: boolean): readonly string[] {
  return flagged ? ["flagged"] : [];
}

/** The threads of a row, and how they meet: shaders/norm/meet.wgsl. */
export interface NormThreads {
  readonly threads: number;
  /** For the kernel's name. */
  readonly design: string;
  readonly conditions: Readonly<Record<string, boolean>>;
  readonly constants: Readonly<Record<string, string>>;
}

/**
 * On GPUs 64 threads up to a width of 1024, then 256, so that a thread holds at most 4 vec4s up to 4096. On software devices
 * four, the SIMD lanes of one core, which meet without barriers if there are subgroups.
 */
export function normThreads(width: number, { family, subgroups = false }: NormChoice): NormThreads {
  if (family === "register") {
    const design = subgroups ? "quads" : "threads4";
    return { threads: 4, design, conditions: { quads: subgroups }, constants: { THREADS: "4u" } };
  }
  const span = width <= 1024 ? 8 : 16;
  const threads = span * span;
  return {
    threads,
    design: `threads${threads}`,
    conditions: { spans: true },
    constants: { THREADS: `${threads}u`, SPAN: `${span}u` },
  };
}
