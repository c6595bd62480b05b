/** Token (and position) embedding: shaders/embed.wgsl. */
import type { Kernel } from "./kernel.ts";
import { isQuantised, type WeightDtype, weightBytes, weightConditions } from "./weight-dtype.ts";

const SITES = ["embed", "resid_pre"] as const;

export interface EmbedShape {
  /** d. */
  readonly width: number;
  readonly vocab: number;
  /** Dtype of the token table, [vocab, width] in strips. */
  readonly wte: WeightDtype;
  /** Dtype of the table of learned positions, [positions, width] in strips; absent: the model has none. Not quantised. */
  readonly wpe?: WeightDtype;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
  readonly taps?: readonly string[];
  /** The records of stages are made for the rows: args `record_stride` and `sequence_records`. */
  readonly staged?: boolean;
  /** Each sequence has a program of its own, and as many records as that needs. */
  readonly programs?: boolean;
  /** The embedding is kept in the source table of an edge mask, where arg `source` says. */
  readonly sourced?: boolean;
}

/**
 * The kernel that writes row r of the stream, f32 [rows][ceil4(width)], from the token and position of step row r.
 * One dispatch per part of a split token table: `args.first_row` (a multiple of 4) and `args.row_count` say which rows
 * of the vocabulary the bound part holds. An id outside the vocabulary gives zeros.
 */
export function embedKernel(shape: EmbedShape): Kernel {
  const { width, vocab, wte, wpe, maxRows, staged = false, programs = false, sourced = false } = shape;
  if (wpe && isQuantised(wpe)) throw new Error("Tables of positions are not quantised");
  const width4 = Math.ceil(width / 4);
  // Narrow rows leave no threads idle, which software devices would run through all of the code.
  const threads = Math.min(64, 4 * Math.ceil(width4 / 4));
  const taps = SITES.filter((site) => shape.taps?.includes(site));
  const tables = wpe ? `${wte}_${wpe}` : wte;
  return {
    name: [
      ...["embed", tables, `${vocab}x${width}`, `m${maxRows}`],
      ...(staged ? ["staged"] : []),
      ...(programs ? ["programs"] : []),
      ...(sourced ? ["sourced"] : []),
      ...taps,
    ].join("_"),
    shader: {
      entry: "embed",
      conditions: {
        positions: wpe !== undefined,
        ...Object.fromEntries(Object.keys(weightConditions(wte)).map((name) => [`wte_${name}`, true])),
        wpe_f16: wpe === "f16",
        wpe_bf16: wpe === "bf16",
        ...(staged && { staged }),
        ...(programs && { programs }),
        ...(sourced && { sourced }),
        ...Object.fromEntries(taps.map((site) => [`tap_${site}`, true])),
      },
      constants: { D4: `${width4}u`, THREADS: `${threads}u`, VOCAB: `${vocab}u`, MAX_ROWS: `${maxRows}u` },
    },
    summation: "none",
    workgroups: (rows) => [Math.ceil(width4 / threads), rows, 1],
    cost: ({ rows }) => ({
      flops: wpe ? rows * width : 0,
      bytes: rows * width * (4 + weightBytes(wte) + (wpe ? weightBytes(wpe) : 0)),
    }),
  };
}
