/**
 * Llama as a graph (Touvron et al. 2023, and what followed: GQA, RoPE scaling, explicit head widths, biases).
 * The same graph serves Mistral (sliding window) and Qwen2 (biases on q, k and v).
 */
import { GraphBuilder, residPostSites } from "../graph/builder.ts";
import type { Graph, MatrixRef, Value, VectorRef } from "../graph/graph.ts";
import type { ModelConfig } from "./config.ts";

/** @param prefix `model.` or nothing: both spellings are in use */
export function llamaGraph(config: ModelConfig, prefix: string): Graph {
  const {
    hidden_size: d,
    intermediate_size: f,
    vocab_size,
    num_hidden_layers: layers,
    head_dim,
    norm_eps: eps,
  } = config;
  const queryWidth = config.num_attention_heads * head_dim;
  const keyWidth = config.num_key_value_heads * head_dim;
  const g = new GraphBuilder();

  const vector = (tensor: string, length: number): VectorRef => ({ tensor, first: 0, length, tensorLength: length });
  const matrix = (tensor: string, outputs: number, inputs: number): MatrixRef => ({
    tensor,
    transposed: false,
    first: 0,
    outputs,
    inputs,
    tensorOutputs: outputs,
  });
  const linear = (input: Value, name: string, outputs: number, bias: boolean, site: string): Value =>
    g.linear(
      input,
      matrix(`${name}.weight`, outputs, input.width),
      bias ? vector(`${name}.bias`, outputs) : undefined,
      site,
    );
  const rmsNorm = (name: string) => ({ gain: vector(`${name}.weight`, d), eps });

  const embedding = matrix(`${prefix}embed_tokens.weight`, vocab_size, d);
  let stream = g.embed(embedding, undefined, ["embed", "resid_pre.0"]);

  for (let l = 0; l < layers; l++) {
    const block = `${prefix}layers.${l}`;
    const attnNorm = g.norm("rms", stream, rmsNorm(`${block}.input_layernorm`), `attn_norm.${l}`);
    const q = linear(attnNorm, `${block}.self_attn.q_proj`, queryWidth, config.qkv_bias, `attn_q.${l}`);
    const k = linear(attnNorm, `${block}.self_attn.k_proj`, keyWidth, config.qkv_bias, `attn_k.${l}`);
    const v = linear(attnNorm, `${block}.self_attn.v_proj`, keyWidth, config.qkv_bias, `attn_v.${l}`);
    g.cache(l, g.rope(k, head_dim), v);
    const windowed = config.sliding_window !== undefined && (config.sliding_layers?.[l] ?? true);
    const z = g.attention(
      l,
      g.rope(q, head_dim),
      config.attention_scale[l] as number,
      windowed ? config.sliding_window : 0,
    );
    const attnOut = linear(z, `${block}.self_attn.o_proj`, d, config.attn_out_bias, `attn_out.${l}`);
    const mid = g.add(stream, attnOut, [`resid_mid.${l}`]);

    const mlpNorm = g.norm("rms", mid, rmsNorm(`${block}.post_attention_layernorm`), `mlp_norm.${l}`);
    const gate = linear(mlpNorm, `${block}.mlp.gate_proj`, f, config.mlp_bias, `gate_pre.${l}`);
    const up = linear(mlpNorm, `${block}.mlp.up_proj`, f, config.mlp_bias, `up.${l}`);
    const post = g.multiply(g.activation(config.activation, gate), up, `mlp_post.${l}`);
    const mlpOut = linear(post, `${block}.mlp.down_proj`, d, config.mlp_bias, `mlp_out.${l}`);
    stream = g.add(mid, mlpOut, residPostSites(l, layers));
  }

  const finalNorm = g.norm("rms", g.selectOuts(stream), rmsNorm(`${prefix}norm`), "final_norm");
  const head = config.tie_word_embeddings ? embedding : matrix("lm_head.weight", vocab_size, d);
  return g.finish(config, g.linear(finalNorm, head, undefined));
}
