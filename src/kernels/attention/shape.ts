/** What the attention kernels have in common: their shape, source and cost. */
import { SluiceError } from "../../errors.ts";
import type { Cost, Workload } from "../kernel.ts";
import type { CacheDtype } from "../linear/epilogue.ts";
import type { ShaderSource } from "../link.ts";

export interface AttentionShape {
  /** Query heads H. */
  readonly heads: number;
  /** Key and value heads G, a divisor of `heads`. */
  readonly kv_heads: number;
  /** Width of a head, 1 to 256. */
  readonly head_dim: number;
  /** Sites whose value is stored when a dispatch asks for it: `z`, or none. */
  readonly taps: readonly string[];
  /** neuron_scale stages may act at attn_z: args `record_stride` and `list_z`. */
  readonly staged?: boolean;
  /** Each sequence has a program of its own: `list_z` is the list's place in it. */
  readonly programs?: boolean;
  /** How keys and values are cached; default f32. With f16, `head_dim` % 4 = 0. */
  readonly cache?: CacheDtype;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
}

/** The widest head whose tiles fit into WebGPU's default workgroup memory. */
const WIDEST_HEAD = 256;

/** @throws SluiceError `bad_config` naming the number that no kernel serves, `usage` for an unknown site. */
export function checkAttentionShape(shape: AttentionShape): void {
  const { heads, kv_heads, head_dim } = shape;
  if (!(heads > 0 && kv_heads > 0 && heads % kv_heads === 0)) {
    throw new SluiceError("bad_config", `Attention with ${heads} heads cannot share ${kv_heads} key/value heads`, {
      hint: "num_attention_heads must be a multiple of num_key_value_heads.",
    });
  }
  if (!(head_dim >= 1 && head_dim <= WIDEST_HEAD)) {
    throw new SluiceError("bad_config", `Attention heads are ${head_dim} wide; the kernels serve 1 to ${WIDEST_HEAD}`);
  }
  for (const tap of shape.taps) {
    if (tap !== "z") throw new SluiceError("usage", `Attention has no site ${tap}; its kernels store z`);
  }
}

/** `12of12x64_128rows`, then `_z` where z is tapped: everything of a shape that changes a source. */
export function shapeName({
  heads,
  kv_heads,
  head_dim,
  taps,
  staged,
  programs,
  cache,
  maxRows,
}: AttentionShape): string {
  return `${heads}of${kv_heads}x${head_dim}_${maxRows}rows${staged ? "_staged" : ""}${programs ? "_programs" : ""}${cache === "f16" ? "_f16cache" : ""}${taps.map((tap) => `_${tap}`).join("")}`;
}

/** The linker's constants and conditions that every attention shader takes, with a shader's own added. */
export function attentionShader(
  entry: string,
  shape: AttentionShape,
  constants: Readonly<Record<string, number>> = {},
  conditions: Readonly<Record<string, boolean>> = {},
): ShaderSource {
  const all = {
    HEADS: shape.heads,
    KV_HEADS: shape.kv_heads,
    HEAD_DIM: shape.head_dim,
    MAX_ROWS: shape.maxRows,
    ...constants,
  };
  return {
    entry,
    constants: Object.fromEntries(Object.entries(all).map(([name, value]) => [name, `${value}u`])),
    conditions: {
      ...conditions,
      ...(shape.staged && { staged: true, stacked: true }),
      ...(shape.programs && { programs: true }),
      ...(shape.cache === "f16" && { f16_cache: true }),
      ...Object.fromEntries(shape.taps.map((tap) => [`tap_${tap}`, true])),
    },
  };
}

/**
 * Cost of attention if the rows of a tile share each read of a key or value: two fused multiply-adds
 * for each key, head and dimension; q in, z out, and the cache once a tile.
 */
export function attentionCost(shape: AttentionShape, work: Workload, rowsPerTile: number): Cost {
  const { heads, kv_heads, head_dim, cache } = shape;
  const shared = Math.max(1, Math.min(rowsPerTile, work.rows));
  return {
    flops: 4 * work.keys * heads * head_dim,
    bytes: head_dim * (8 * work.rows * heads + (2 * (cache === "f16" ? 2 : 4) * work.keys * kv_heads) / shared),
  };
}
