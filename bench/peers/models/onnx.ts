/**
 * Writes a float32 GPT-2 or Llama as ONNX in the forms that ONNX Runtime is fastest with: its own fused operators
 * (SkipLayerNormalization, FastGelu, GroupQueryAttention), as its exporters make them, with the names that
 * transformers.js expects. Logits are those of the last token only, which is the work that Sluice does.
 */
import { ropeTable } from "../../../src/architectures/rope.ts";
import { type Checkpoint, stack, transpose } from "./checkpoint.ts";
import { MICROSOFT, OnnxGraph } from "./onnx-file.ts";

/**
 * Attention as ONNX Runtime's own operator, or composed of plain ones as PyTorch exports it. The former is the faster,
 * but its WebGPU kernel computes something else on SwiftShader and lavapipe, by a tenth of the values.
 */
export type AttentionForm = "fused" | "composed";

/** Writes `PATH` and `PATH_data`. */
export function writeOnnx(path: string, checkpoint: Checkpoint, form: AttentionForm): void {
  const graph = new OnnxGraph(path);
  const { config } = checkpoint;
  graph.input("input_ids", "int64", ["batch_size", "sequence"]);
  graph.input("attention_mask", "int64", ["batch_size", "total"]);
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const shape = (length: string) => ["batch_size", config.num_key_value_heads, length, config.head_dim];
    for (const name of ["key", "value"]) {
      graph.input(`past_key_values.${l}.${name}`, "float32", shape("past_sequence_length"));
      graph.output(`present.${l}.${name}`, "float32", shape("total"));
    }
  }
  graph.input("position_ids", "int64", ["batch_size", "sequence"]);
  if (form === "fused") keyCounts(graph);
  else causalMask(graph);
  const attention = form === "fused" ? fusedAttention : composedAttention;
  const [normed, head] =
    config.architecture === "gpt2" ? gpt2(graph, checkpoint, attention) : llama(graph, checkpoint, attention);
  graph.constant("last", "int64", [-1]);
  graph.node("Gather", [normed, "last"], "last_row", { axis: 1 });
  graph.weight("head", transpose(checkpoint.tensor(head)));
  graph.node("MatMul", ["last_row", "head"], "logits");
  graph.output("logits", "float32", ["batch_size", 1, config.vocab_size]);
  graph.write();
}

/** @returns the last norm's output, and the name of the head's weights */
function gpt2(graph: OnnxGraph, checkpoint: Checkpoint, attention: Attention): readonly [string, string] {
  const { config } = checkpoint;
  const weight = (name: string) => graph.weight(name, checkpoint.tensor(name));
  const epsilon = { float: config.norm_eps };
  const linear = (input: string, name: string, output: string) => {
    graph.node("MatMul", [input, weight(`${name}.weight`)], `${output}.product`);
    return graph.node("Add", [`${output}.product`, weight(`${name}.bias`)], output);
  };
  graph.node("Gather", [weight("wte.weight"), "input_ids"], "token_rows");
  graph.node("Gather", [weight("wpe.weight"), "position_ids"], "position_rows");
  let stream = graph.node("Add", ["token_rows", "position_rows"], "embedded");
  let normed = graph.node(
    "LayerNormalization",
    [stream, weight("h.0.ln_1.weight"), weight("h.0.ln_1.bias")],
    "normed",
    { axis: -1, epsilon },
  );
  /** stream += added + bias; then the norm after it. */
  const addAndNorm = (added: string, bias: string, norm: string, name: string) => {
    const [out, sum] = [`${name}.normed`, `${name}.sum`];
    const inputs = [stream, added, weight(`${norm}.weight`), weight(`${norm}.bias`), weight(bias)];
    graph.node("SkipLayerNormalization", inputs, [out, "", "", sum], { epsilon }, MICROSOFT);
    stream = sum;
    normed = out;
  };
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const qkv = linear(normed, `h.${l}.attn.c_attn`, `${l}.qkv`);
    const z = attention(graph, checkpoint, l, qkv, null);
    graph.node("MatMul", [z, weight(`h.${l}.attn.c_proj.weight`)], `${l}.attn_out`);
    addAndNorm(`${l}.attn_out`, `h.${l}.attn.c_proj.bias`, `h.${l}.ln_2`, `${l}.mid`);
    graph.node("MatMul", [normed, weight(`h.${l}.mlp.c_fc.weight`)], `${l}.up`);
    graph.node("FastGelu", [`${l}.up`, weight(`h.${l}.mlp.c_fc.bias`)], `${l}.gelu`, {}, MICROSOFT);
    graph.node("MatMul", [`${l}.gelu`, weight(`h.${l}.mlp.c_proj.weight`)], `${l}.mlp_out`);
    const next = l + 1 === config.num_hidden_layers ? "ln_f" : `h.${l + 1}.ln_1`;
    addAndNorm(`${l}.mlp_out`, `h.${l}.mlp.c_proj.bias`, next, `${l}.post`);
  }
  return [normed, "wte.weight"];
}

/** @returns as {@link gpt2} */
function llama(graph: OnnxGraph, checkpoint: Checkpoint, attention: Attention): readonly [string, string] {
  const { config } = checkpoint;
  const weight = (name: string) => graph.weight(name, checkpoint.tensor(name));
  const epsilon = { float: config.norm_eps };
  const linear = (input: string, name: string, output: string) => {
    return graph.node("MatMul", [input, graph.weight(name, transpose(checkpoint.tensor(name)))], output);
  };
  const half = config.head_dim / 2;
  if (!config.rope) throw new Error("A Llama without rope is not written");
  const table = ropeTable(config.rope, config.head_dim, config.max_position_embeddings);
  const column = (which: 0 | 1) => {
    const data = new Float32Array(config.max_position_embeddings * half);
    for (let i = 0; i < data.length; i++) data[i] = table[2 * i + which] as number;
    return { shape: [config.max_position_embeddings, half], data };
  };
  const rope = [graph.weight("cos_cache", column(0)), graph.weight("sin_cache", column(1))] as const;
  let stream = graph.node("Gather", [weight("model.embed_tokens.weight"), "input_ids"], "embedded");
  const first = weight("model.layers.0.input_layernorm.weight");
  let normed = graph.node("SimplifiedLayerNormalization", [stream, first], "normed", { axis: -1, epsilon });
  const addAndNorm = (added: string, norm: string, name: string) => {
    const [out, sum] = [`${name}.normed`, `${name}.sum`];
    const inputs = [stream, added, weight(norm)];
    graph.node("SkipSimplifiedLayerNormalization", inputs, [out, "", "", sum], { epsilon }, MICROSOFT);
    stream = sum;
    normed = out;
  };
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const from = `model.layers.${l}`;
    const projections = ["q", "k", "v"].map((name) => checkpoint.tensor(`${from}.self_attn.${name}_proj.weight`));
    graph.weight(`${l}.qkv_weight`, transpose(stack(...projections)));
    graph.node("MatMul", [normed, `${l}.qkv_weight`], `${l}.qkv`);
    const z = attention(graph, checkpoint, l, `${l}.qkv`, rope);
    linear(z, `${from}.self_attn.o_proj.weight`, `${l}.attn_out`);
    addAndNorm(`${l}.attn_out`, `${from}.post_attention_layernorm.weight`, `${l}.mid`);
    linear(normed, `${from}.mlp.gate_proj.weight`, `${l}.gate`);
    linear(normed, `${from}.mlp.up_proj.weight`, `${l}.up`);
    graph.node("Sigmoid", [`${l}.gate`], `${l}.sigmoid`);
    graph.node("Mul", [`${l}.gate`, `${l}.sigmoid`], `${l}.silu`);
    graph.node("Mul", [`${l}.silu`, `${l}.up`], `${l}.gated`);
    linear(`${l}.gated`, `${from}.mlp.down_proj.weight`, `${l}.mlp_out`);
    const next = l + 1 === config.num_hidden_layers ? "model.norm" : `model.layers.${l + 1}.input_layernorm`;
    addAndNorm(`${l}.mlp_out`, `${next}.weight`, `${l}.post`);
  }
  return [normed, config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"];
}

/** cos and sin, `[positions, head_dim/2]`, by name. */
type Rope = readonly [cos: string, sin: string];

/** Causal attention with its cache; q, k and v come as one packed value and are rotated here if there is a table. */
type Attention = (graph: OnnxGraph, checkpoint: Checkpoint, l: number, qkv: string, rope: Rope | null) => string;

/** GroupQueryAttention wants the last key's index and the number of keys as int32. */
function keyCounts(graph: OnnxGraph): void {
  graph.constant("one", "int64", 1);
  graph.constant("axis_1", "int64", [1]);
  graph.node("ReduceSum", ["attention_mask", "axis_1"], "keys", { keepdims: 0 });
  graph.node("Sub", ["keys", "one"], "last_key");
  graph.node("Cast", ["last_key"], "seqlens_k", { to: 6 });
  graph.node("Shape", ["attention_mask"], "mask_shape");
  graph.node("Gather", ["mask_shape", "one"], "total_length", { axis: 0 });
  graph.node("Cast", ["total_length"], "total_sequence_length", { to: 6 });
}

/** `mask`: 0 where a query sees a key and a very negative number where not, `[batch, 1, sequence, total]`. */
function causalMask(graph: OnnxGraph): void {
  graph.constant("zero", "int64", 0);
  graph.constant("one", "int64", 1);
  graph.constant("query_axes", "int64", [1, 3]);
  graph.node("Shape", ["attention_mask"], "mask_shape");
  graph.node("Gather", ["mask_shape", "one"], "total_length", { axis: 0 });
  graph.node("Range", ["zero", "total_length", "one"], "key_positions");
  graph.node("Unsqueeze", ["position_ids", "query_axes"], "query_positions");
  graph.node("LessOrEqual", ["key_positions", "query_positions"], "visible");
  graph.weight("seen", { shape: [], data: Float32Array.of(0) });
  graph.weight("unseen", { shape: [], data: Float32Array.of(-1e30) });
  graph.node("Where", ["visible", "seen", "unseen"], "mask");
}

function fusedAttention(...[graph, { config }, l, qkv, rope]: Parameters<Attention>): string {
  const past = [`past_key_values.${l}.key`, `past_key_values.${l}.value`];
  return graph.node(
    "GroupQueryAttention",
    [qkv, "", "", ...past, "seqlens_k", "total_sequence_length", ...(rope ?? [])],
    [`${l}.z`, `present.${l}.key`, `present.${l}.value`],
    {
      num_heads: config.num_attention_heads,
      kv_num_heads: config.num_key_value_heads,
      do_rotary: rope ? 1 : 0,
      scale: { float: scaleOf(config, l) },
    },
    MICROSOFT,
  );
}

/** Queries of a group go through one product with their keys, so that no key is copied for each head. */
function composedAttention(...[graph, { config }, l, qkv, rope]: Parameters<Attention>): string {
  const { num_attention_heads: H, num_key_value_heads: G, head_dim } = config;
  graph.constant(`${l}.sizes`, "int64", [H * head_dim, G * head_dim, G * head_dim]);
  graph.node("Split", [qkv, `${l}.sizes`], [`${l}.q`, `${l}.k`, `${l}.v`], { axis: 2 });
  const rotated = (name: string, heads: number) =>
    rope
      ? graph.node(
          "RotaryEmbedding",
          [name, "position_ids", ...rope],
          `${name}.rotated`,
          { num_heads: heads },
          MICROSOFT,
        )
      : name;
  const heads = (name: string, count: number) => {
    graph.constant(`${name}.shape`, "int64", [0, 0, count, head_dim]);
    graph.node("Reshape", [name, `${name}.shape`], `${name}.rows`);
    return graph.node("Transpose", [`${name}.rows`], `${name}.heads`, { perm: [0, 2, 1, 3] });
  };
  const cached = (now: string, which: "key" | "value") =>
    graph.node("Concat", [`past_key_values.${l}.${which}`, now], `present.${l}.${which}`, { axis: 2 });
  const keys = cached(heads(rotated(`${l}.k`, G), G), "key");
  const values = cached(heads(`${l}.v`, G), "value");
  graph.weight(`${l}.scale`, { shape: [], data: Float32Array.of(scaleOf(config, l)) });
  let q = graph.node("Mul", [heads(rotated(`${l}.q`, H), H), `${l}.scale`], `${l}.q.scaled`);
  if (H !== G) {
    graph.constant(`${l}.grouped`, "int64", [0, G, -1, head_dim]);
    q = graph.node("Reshape", [q, `${l}.grouped`], `${l}.q.grouped`);
  }
  graph.node("Transpose", [keys], `${l}.keys_turned`, { perm: [0, 1, 3, 2] });
  let scores = graph.node("MatMul", [q, `${l}.keys_turned`], `${l}.scores`);
  if (H !== G) {
    // [batch, G, H/G · sequence, total] → [batch, H, sequence, total], for the mask.
    graph.node("Shape", ["mask"], `${l}.mask_shape`);
    graph.constant(`${l}.heads_axis`, "int64", [H]);
    graph.constant(`${l}.first`, "int64", [0, 2, 3]);
    graph.node("Gather", [`${l}.mask_shape`, `${l}.first`], `${l}.sizes_of_mask`, { axis: 0 });
    graph.node("Split", [`${l}.sizes_of_mask`], [`${l}.b`, `${l}.s`, `${l}.t`], { axis: 0, num_outputs: 3 });
    graph.node("Concat", [`${l}.b`, `${l}.heads_axis`, `${l}.s`, `${l}.t`], `${l}.scores_shape`, { axis: 0 });
    scores = graph.node("Reshape", [scores, `${l}.scores_shape`], `${l}.scores_by_head`);
  }
  graph.node("Add", [scores, "mask"], `${l}.masked`);
  let weights = graph.node("Softmax", [`${l}.masked`], `${l}.pattern`, { axis: -1 });
  if (H !== G) {
    graph.node("Shape", [`${l}.scores`], `${l}.grouped_shape`);
    weights = graph.node("Reshape", [weights, `${l}.grouped_shape`], `${l}.pattern.grouped`);
  }
  let z = graph.node("MatMul", [weights, values], `${l}.z.heads`);
  if (H !== G) {
    graph.constant(`${l}.by_head`, "int64", [0, H, -1, head_dim]);
    z = graph.node("Reshape", [z, `${l}.by_head`], `${l}.z.by_head`);
  }
  graph.node("Transpose", [z], `${l}.z.rows`, { perm: [0, 2, 1, 3] });
  graph.constant(`${l}.z.shape`, "int64", [0, 0, H * head_dim]);
  return graph.node("Reshape", [`${l}.z.rows`, `${l}.z.shape`], `${l}.z`);
}

function scaleOf({ attention_scale, head_dim }: Checkpoint["config"], l: number): number {
  return attention_scale[l] ?? 1 / Math.sqrt(head_dim);
}
