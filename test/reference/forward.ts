/**
 * GPT-2 and Llama with interventions in float64: the whole sequence at once, no cache, no fusion. An oracle for the
 * engine, of which it uses nothing but the types and the canonical lists of edges.
 */
import type { Destination } from "../../src/interventions/edges.ts";
import type { Composition } from "../../src/interventions/stage.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { Corrections } from "./corrections.ts";
import { activate, add, addScaled, dot, normalize, project, type Rows, rotate, softmax } from "./rows.ts";
import { applyStages } from "./stages.ts";
import type { BlockWeights, ReferenceWeights } from "./weights.ts";

export interface ReferenceRun {
  readonly tokens: readonly number[];
  /** P; default: all tokens. */
  readonly promptLength?: number;
  /** Names of sites to keep, such as `mlp_post.1`. */
  readonly sites?: readonly string[];
}

export interface ReferenceResult {
  /** `[T, V]` */
  readonly logits: Float64Array;
  /** `[T, width]`, or `[H, T, T]` for `attn_pattern`. */
  readonly sites: ReadonlyMap<string, Float64Array>;
}

/** @throws Error for a site that the model does not have */
export function referenceForward(
  weights: ReferenceWeights,
  config: ModelConfig,
  composition: Composition,
  { tokens, promptLength = tokens.length, sites = [] }: ReferenceRun,
): ReferenceResult {
  const captured = new Map<string, Float64Array>();
  const keep = (site: string, rows: Rows): Rows => {
    if (sites.includes(site)) captured.set(site, concatenate(rows));
    return rows;
  };
  const apply = (name: string, layer: number, rows: Rows): Rows =>
    applyStages(composition.stages, name, layer, { tokens, promptLength }, rows);
  const edit = (name: string, layer: number, rows: Rows): Rows => keep(`${name}.${layer}`, apply(name, layer, rows));
  const mask = composition.stages.find((stage) => stage.kind === "edge_mask");
  const edges = mask && new Corrections(mask, config);

  let stream = keep("embed", embed(weights, tokens, config.hidden_size));
  edges?.wrote(stream);
  for (const [layer, block] of weights.blocks.entries()) {
    const pass: BlockPass = { config, block, layer, edges, keep, apply, edit };
    stream = edit("resid_pre", layer, stream);
    stream = edit("resid_mid", layer, add(stream, attention(pass, stream)));
    stream = edit("resid_post", layer, add(stream, mlp(pass, stream)));
  }
  const last = edges?.input("logits", 0, 0, stream) ?? stream;
  const logits = project(keep("final_norm", normalize(last, weights.finalNorm)), weights.head);

  const missing = sites.find((site) => !captured.has(site));
  if (missing !== undefined) throw new Error(`The reference has no site ${missing} for this model`);
  return { logits: concatenate(logits), sites: captured };
}

interface BlockPass {
  readonly config: ModelConfig;
  readonly block: BlockWeights;
  readonly layer: number;
  readonly edges: Corrections | undefined;
  keep(site: string, rows: Rows): Rows;
  /** The rows after the stages at a site. */
  apply(name: string, layer: number, rows: Rows): Rows;
  /** The same, and that is what a capture of the site returns. */
  edit(name: string, layer: number, rows: Rows): Rows;
}

function embed({ tokens: table, positions }: ReferenceWeights, tokens: readonly number[], d: number): Rows {
  return tokens.map((token, t) => {
    const row = table.slice(token * d, (token + 1) * d);
    if (positions) addScaled(row, 1, positions.slice(t * d, (t + 1) * d));
    return row;
  });
}

/** What attention adds to the stream. */
function attention(pass: BlockPass, stream: Rows): Rows {
  const { config, block, layer, edges, keep, edit } = pass;
  const { num_attention_heads: H, num_key_value_heads: G, head_dim } = config;
  const uncorrected = edit("attn_norm", layer, normalize(stream, block.attnNorm));
  const normed = (kind: "q" | "k" | "v", head: number): Rows => corrected(pass, kind, head, stream, uncorrected);
  const perHead = (kind: "q" | "k" | "v", heads: number): Rows[] =>
    Array.from({ length: heads }, (_, h) => project(normed(kind, h), block[kind], h * head_dim, head_dim));
  const [q, k, v] = [perHead("q", H), perHead("k", G), perHead("v", G)];
  keep(`attn_q.${layer}`, sideBySide(q));
  keep(`attn_k.${layer}`, sideBySide(k));
  keep(`attn_v.${layer}`, sideBySide(v));

  const windowed = config.sliding_window !== undefined && (config.sliding_layers?.[layer] ?? true);
  const window = windowed ? (config.sliding_window as number) : Infinity;
  const scale = config.attention_scale[layer] as number;
  const { rope } = config;
  const turned = (rows: Rows): Rows => (rope ? rows.map((row, t) => rotate(row, t, rope)) : rows);
  const patterns: Float64Array[] = [];
  const z = q.map((queries, h) => {
    const group = Math.floor(h / (H / G));
    const pattern = weigh(turned(queries), turned(k[group] as Rows), scale, window);
    patterns.push(...pattern);
    return pattern.map((weights) => {
      const mean = new Float64Array(head_dim);
      for (const [t, value] of (v[group] as Rows).entries()) addScaled(mean, weights[t] as number, value);
      return mean;
    });
  });
  keep(`attn_pattern.${layer}`, patterns);
  const heads = edit("attn_z", layer, sideBySide(z));
  edges?.headsWrote(heads, block.o, H);
  return edit("attn_out", layer, project(heads, block.o));
}

/** Rows of softmax weights `[T]`: each query over the keys up to its own, no further back than the window. */
function weigh(queries: Rows, keys: Rows, scale: number, window: number): Float64Array[] {
  return queries.map((query, t) => {
    const first = Math.max(0, t - window + 1);
    const scores = keys.slice(first, t + 1).map((key) => scale * dot(query, 0, key, 0, key.length));
    const row = new Float64Array(queries.length);
    row.set(softmax(Float64Array.from(scores)), first);
    return row;
  });
}

/** What the MLP adds to the stream. */
function mlp(pass: BlockPass, stream: Rows): Rows {
  const { config, block, layer, edges, edit } = pass;
  const uncorrected = edit("mlp_norm", layer, normalize(stream, block.mlpNorm));
  const normed = corrected(pass, "mlp", 0, stream, uncorrected);
  const activated = (rows: Rows): Rows => rows.map((row) => row.map((x) => activate(config.activation, x)));
  let inner: Rows;
  if (block.gate) {
    const gate = activated(edit("gate_pre", layer, project(normed, block.gate)));
    const up = edit("up", layer, project(normed, block.up));
    inner = gate.map((row, t) => row.map((value, i) => value * (up[t]?.[i] as number)));
  } else {
    inner = activated(edit("mlp_pre", layer, project(normed, block.up)));
  }
  const out = edit("mlp_out", layer, project(edit("mlp_post", layer, inner), block.down));
  edges?.wrote(out);
  return out;
}

/** A destination's normed input, with the stages of its norm's site; `uncorrected` where none of its edges is masked. */
function corrected(
  { block, layer, edges, apply }: BlockPass,
  kind: Destination["kind"],
  head: number,
  stream: Rows,
  uncorrected: Rows,
): Rows {
  const input = edges?.input(kind, layer, head, stream) ?? stream;
  if (input === stream) return uncorrected;
  const [site, norm] =
    kind === "mlp" ? (["mlp_norm", block.mlpNorm] as const) : (["attn_norm", block.attnNorm] as const);
  return apply(site, layer, normalize(input, norm));
}

/** Heads' rows `[T][head_dim]` into rows of all heads. */
function sideBySide(heads: readonly Rows[]): Rows {
  return (heads[0] as Rows).map((_, t) => concatenate(heads.map((rows) => rows[t] as Float64Array)));
}

function concatenate(rows: Rows): Float64Array {
  const result = new Float64Array(rows.reduce((sum, row) => sum + row.length, 0));
  let at = 0;
  for (const row of rows) {
    result.set(row, at);
    at += row.length;
  }
  return result;
}
