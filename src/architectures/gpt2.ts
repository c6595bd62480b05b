/**
 * GPT-2 as a graph (Radford et al. 2019; tensor names of Hugging Face's GPT2LMHeadModel).
 * Its linear layers are "Conv1D": stored `[inputs, outputs]`, q, k and v in one matrix.
 */
import { embedSites, GraphBuilder, residPostSites } from "../graph/builder.ts";
import type { Graph, MatrixRef, VectorRef } from "../graph/graph.ts";
import type { LayerSiteKind, Site } from "../graph/site.ts";
import type { ModelConfig } from "../model-config.ts";
import type { GraphNames } from "./graph-names.ts";

/** The prefix that other programs' GPT-2 has (MLX): its linear weights are stored `[outputs, inputs]`. */
export const OUTPUTS_FIRST = "model.";

export function gpt2Graph(config: ModelConfig, { prefix, embedding, head }: GraphNames): Graph {
  const { hidden_size: d, intermediate_size: f, vocab_size, num_hidden_layers: layers, norm_eps: eps } = config;
  const attentionWidth = config.num_attention_heads * config.head_dim;
  const g = new GraphBuilder();

  const vector = (tensor: string, length: number, first = 0, tensorLength = length): VectorRef => ({
    tensor,
    first,
    length,
    tensorLength,
  });
  const conv1d = (tensor: string, inputs: number, outputs: number, first = 0, tensorOutputs = outputs): MatrixRef => ({
    tensor,
    transposed: prefix !== OUTPUTS_FIRST,
    first,
    outputs,
    inputs,
    tensorOutputs,
  });
  const table = (tensor: string, rows: number): MatrixRef => ({
    tensor,
    transposed: false,
    first: 0,
    outputs: rows,
    inputs: d,
    tensorOutputs: rows,
  });
  const layerNorm = (name: string) => ({ gain: vector(`${name}.weight`, d), bias: vector(`${name}.bias`, d), eps });

  const wte = table(embedding, vocab_size);
  const wpe = table(`${prefix}wpe.weight`, config.max_position_embeddings);
  let stream = g.embed(wte, wpe, embedSites);

  for (let l = 0; l < layers; l++) {
    const block = `${prefix}h.${l}`;
    const at = (kind: LayerSiteKind): Site => ({ kind, layer: l });
    const attnNorm = g.norm("layer", stream, layerNorm(`${block}.ln_1`), at("attn_norm"));
    const [q, k, v] = (["attn_q", "attn_k", "attn_v"] as const).map((site, part) =>
      g.linear(
        attnNorm,
        conv1d(`${block}.attn.c_attn.weight`, d, attentionWidth, part * attentionWidth, 3 * attentionWidth),
        vector(`${block}.attn.c_attn.bias`, attentionWidth, part * attentionWidth, 3 * attentionWidth),
        at(site),
      ),
    ) as [ReturnType<typeof g.linear>, ReturnType<typeof g.linear>, ReturnType<typeof g.linear>];
    g.cache(l, k, v);
    const z = g.attention(l, q, config.attention_scale[l] as number, 0);
    const attnOut = g.linear(
      z,
      conv1d(`${block}.attn.c_proj.weight`, attentionWidth, d),
      vector(`${block}.attn.c_proj.bias`, d),
      at("attn_out"),
    );
    const mid = g.add(stream, attnOut, [at("resid_mid")]);

    const mlpNorm = g.norm("layer", mid, layerNorm(`${block}.ln_2`), at("mlp_norm"));
    const pre = g.linear(
      mlpNorm,
      conv1d(`${block}.mlp.c_fc.weight`, d, f),
      vector(`${block}.mlp.c_fc.bias`, f),
      at("mlp_pre"),
    );
    const post = g.activation(config.activation, pre, at("mlp_post"));
    const mlpOut = g.linear(
      post,
      conv1d(`${block}.mlp.c_proj.weight`, f, d),
      vector(`${block}.mlp.c_proj.bias`, d),
      at("mlp_out"),
    );
    stream = g.add(mid, mlpOut, residPostSites(l, layers));
  }

  const finalNorm = g.norm("layer", g.selectOuts(stream), layerNorm(`${prefix}ln_f`), {
    kind: "final_norm",
    layer: null,
  });
  return g.finish(config, g.linear(finalNorm, head === embedding ? wte : table(head, vocab_size), undefined));
}
