/**
 * Llama as a graph (Touvron et al. 2023, and what followed: GQA, RoPE scaling, explicit head widths, biases).
 * The same graph serves similar families: Mistral (sliding window), Qwen2 (biases on q, k and v), Phi-3 (fused projections),
 * StableLM (LayerNorm), SmolLM3 (layers without RoPE).
 */
import { embedSites, GraphBuilder, residPostSites } from "../graph/builder.ts";
import type { Graph, MatrixRef, Value, VectorRef } from "../graph/graph.ts";
import type { LayerSiteKind, Site } from "../graph/site.ts";
import type { ModelConfig } from "../model-config.ts";
import type { GraphNames } from "./graph-names.ts";
import { rotaryWidth } from "./rope.ts";

/** Outputs of one projection among several in one tensor. */
interface Part {
  /** Where its outputs begin, and how many the tensor has. */
  readonly first: number;
  readonly of: number;
}

export function llamaGraph(config: ModelConfig, { prefix, embedding, head }: GraphNames): Graph {
  const {
    hidden_size: d,
    intermediate_size: f,
    vocab_size,
    num_hidden_layers: layers,
    head_dim,
    norm_eps: eps,
    rope,
    fused_projections: fused = false,
    norm: normKind,
  } = config;
  const queryWidth = config.num_attention_heads * head_dim;
  const keyWidth = config.num_key_value_heads * head_dim;
  const g = new GraphBuilder();

  const matrix = (
    tensor: string,
    outputs: number,
    inputs: number,
    part: Part = { first: 0, of: outputs },
  ): MatrixRef => ({
    tensor,
    transposed: false,
    first: part.first,
    outputs,
    inputs,
    tensorOutputs: part.of,
  });
  const vector = (tensor: string, length: number, part: Part = { first: 0, of: length }): VectorRef => ({
    tensor,
    first: part.first,
    length,
    tensorLength: part.of,
  });
  const linear = (input: Value, name: string, outputs: number, bias: boolean, site: Site, part?: Part): Value =>
    g.linear(
      input,
      matrix(`${name}.weight`, outputs, input.width, part),
      bias ? vector(`${name}.bias`, outputs, part) : undefined,
      site,
    );
  const norm = (input: Value, name: string, site: Site): Value =>
    g.norm(
      normKind,
      input,
      { gain: vector(`${name}.weight`, d), ...(normKind === "layer" && { bias: vector(`${name}.bias`, d) }), eps },
      site,
    );

  const table = matrix(embedding, vocab_size, d);
  let stream = g.embed(table, undefined, embedSites);

  for (let l = 0; l < layers; l++) {
    const block = `${prefix}layers.${l}`;
    const at = (kind: LayerSiteKind): Site => ({ kind, layer: l });
    const attn = `${block}.self_attn`;
    const attnNorm = norm(stream, `${block}.input_layernorm`, at("attn_norm"));
    const qkvWidth = queryWidth + 2 * keyWidth;
    const project = (kind: "q" | "k" | "v", first: number, width: number): Value =>
      fused
        ? linear(attnNorm, `${attn}.qkv_proj`, width, config.qkv_bias, at(`attn_${kind}`), { first, of: qkvWidth })
        : linear(attnNorm, `${attn}.${kind}_proj`, width, config.qkv_bias, at(`attn_${kind}`));
    const q = project("q", 0, queryWidth);
    const k = project("k", queryWidth, keyWidth);
    const v = project("v", queryWidth + keyWidth, keyWidth);
    const rotary = rope && (config.rope_layers?.[l] ?? true) ? rotaryWidth(rope, head_dim) : 0;
    const rotated = (value: Value): Value => (rotary > 0 ? g.rope(value, head_dim, rotary) : value);
    g.cache(l, rotated(k), v);
    const windowed = config.sliding_window !== undefined && (config.sliding_layers?.[l] ?? true);
    const z = g.attention(l, rotated(q), config.attention_scale[l] as number, windowed ? config.sliding_window : 0);
    const attnOut = linear(z, `${attn}.o_proj`, d, config.attn_out_bias, at("attn_out"));
    const mid = g.add(stream, attnOut, [at("resid_mid")]);

    const mlpNorm = norm(mid, `${block}.post_attention_layernorm`, at("mlp_norm"));
    const expand = (kind: "gate" | "up", site: "gate_pre" | "up", first: number): Value =>
      fused
        ? linear(mlpNorm, `${block}.mlp.gate_up_proj`, f, config.mlp_bias, at(site), { first, of: 2 * f })
        : linear(mlpNorm, `${block}.mlp.${kind}_proj`, f, config.mlp_bias, at(site));
    const gate = expand("gate", "gate_pre", 0);
    const up = expand("up", "up", f);
    const post = g.multiply(g.activation(config.activation, gate), up, at("mlp_post"));
    const mlpOut = linear(post, `${block}.mlp.down_proj`, d, config.mlp_bias, at("mlp_out"));
    stream = g.add(mid, mlpOut, residPostSites(l, layers));
  }

  const finalNorm = norm(g.selectOuts(stream), `${prefix}norm`, { kind: "final_norm", layer: null });
  return g.finish(config, g.linear(finalNorm, head === embedding ? table : matrix(head, vocab_size, d), undefined));
}
