/**
 * Gradient of causal attention, tile by tile of rows × keys: shaders/backward/attention.wgsl has the formulas.
 *
 * Softmax weights and their gradients exist for one tile at a time, written once and read by the kernels for dq and for dk
 * and dv; so a score is computed once in the backward pass, and every sum has one writer and a fixed order.
 */
import type { Kernel } from "../kernel.ts";
import type { ShaderSource } from "../link.ts";

export interface BackwardAttentionShape {
  /** H */
  readonly heads: number;
  /** G */
  readonly kv_heads: number;
  /** dh, any width. */
  readonly head_dim: number;
  /** Most keys of a tile. */
  readonly tile: number;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
}

export interface BackwardAttention {
  /** `output` [rows][H] of (log-sum-exp, ⟨dz, z⟩) from `q`, `keys`, `z`, `dz`. Args: `scale`, `window`. */
  readonly stats: Kernel;
  /**
   * `output` [H][rows][tile] of softmax weights and gradients of scores from `q`, `keys`, `values`, `dz`, `stats`. Args:
   * `scale`, `window`, `first_key`, `key_count`.
   */
  readonly weights: Kernel;
  /** dq into `output` from `tile` and `keys`. Args: `window`, `first_key`, `key_count`, `accumulate`. */
  readonly query: Kernel;
  /** dk and dv of the tile's keys into `output` from `tile`, `q`, `dz`; dispatched over keys. Args: `key_count`, `diagonal`, `accumulate`. */
  readonly keyValue: Kernel;
  /** Bytes of a tile for that many rows. */
  tileBytes(rows: number): number;
}

/** Rows of dq, dk, dv, side by side as W_q, W_k, W_v lie: (H + 2G)·dh floats, padded to a multiple of 4. */
export function backwardAttention(shape: BackwardAttentionShape): BackwardAttention {
  const { heads, kv_heads, head_dim, tile, maxRows } = shape;
  const lane = head_dim % 4 === 0 ? 4 : 1;
  const name = (part: string) => `backward_attention_${part}_${heads}of${kv_heads}x${head_dim}_t${tile}_m${maxRows}`;
  const shader = (part: string): ShaderSource => ({
    entry: `backward/attention_${part}`,
    conditions: { vec4_heads: lane === 4 },
    constants: {
      HEADS: `${heads}u`,
      KV_HEADS: `${kv_heads}u`,
      HEAD_DIM: `${head_dim}u`,
      TILE: `${tile}u`,
      MAX_ROWS: `${maxRows}u`,
    },
  });
  /** Flops of `products` inner products a pair of row and key, for all heads. */
  const pairCost = (products: number) => (work: { readonly rows: number; readonly keys: number }) => ({
    flops: 2 * products * work.keys * heads * head_dim,
    bytes: 4 * work.rows * heads * head_dim * 3 + 8 * work.keys * heads,
  });
  return {
    stats: {
      name: name("stats"),
      shader: shader("stats"),
      summation: "attention_backward_stats",
      workgroups: (rows) => [Math.ceil(heads / 16), rows, 1],
      cost: pairCost(1),
    },
    weights: {
      name: name("weights"),
      shader: shader("weights"),
      summation: "attention_backward_weights",
      workgroups: (rows) => [Math.ceil(tile / 32), rows, heads],
      cost: pairCost(2),
    },
    query: {
      name: name("query"),
      shader: shader("query"),
      summation: "serial",
      workgroups: (rows) => [Math.ceil((heads * head_dim) / lane / 32), rows, 1],
      cost: pairCost(1),
    },
    keyValue: {
      name: name("key_value"),
      shader: shader("key_value"),
      summation: "serial",
      workgroups: (keys) => [Math.ceil((kv_heads * head_dim) / lane / 32), keys, 1],
      cost: pairCost(2),
    },
    tileBytes: (rows) => heads * rows * tile * 8,
  };
}

export interface BackwardRopeShape
  extends Pick<BackwardAttentionShape, "heads" | "kv_heads" | "head_dim" | "maxRows"> {}

/** Turns dq and dk back in place, in rows of dq, dk, dv (`output`), by the table `rope`. No args. */
export function backwardRope({ heads, kv_heads, head_dim, maxRows }: BackwardRopeShape): Kernel {
  const rotated = (heads + kv_heads) * head_dim;
  const row2 = Math.ceil(((heads + 2 * kv_heads) * head_dim) / 4) * 2;
  return {
    name: `backward_rope_${heads}of${kv_heads}x${head_dim}_m${maxRows}`,
    shader: {
      entry: "backward/rope",
      constants: {
        HEAD_DIM: `${head_dim}u`,
        ROTATED: `${rotated}u`,
        ROW2: `${row2}u`,
        MAX_ROWS: `${maxRows}u`,
      },
    },
    summation: "none",
    workgroups: (rows) => [Math.ceil(rotated / 2 / 64), rows, 1],
    cost: ({ rows }) => ({ flops: 3 * rows * rotated, bytes: 12 * rows * rotated }),
  };
}
