/**
 * Writes a float32 GPT-2 or Llama as ONNX in the form that ONNX Runtime is fastest with: its own fused operators
 * (GroupQueryAttention, SkipLayerNormalization, FastGelu), as its exporters for WebGPU make them, with the names that
 * transformers.js expects. Logits are those of the last token only, which is the work that Sluice does.
 */
import { ropeTable } from "../../../src/models/rope.ts";
import { type Checkpoint, stack, transpose } from "./checkpoint.ts";
import { MICROSOFT, OnnxGraph } from "./onnx-file.ts";

/** Writes `PATH` and `PATH_data`. */
export function writeOnnx(path: string, checkpoint: Checkpoint): void {
  const graph = new OnnxGraph(path);
  const { config } = checkpoint;
  graph.input("input_ids", "int64", ["batch", "sequence"]);
  graph.input("attention_mask", "int64", ["batch", "total"]);
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const shape = (length: string) => ["batch", config.num_key_value_heads, length, config.head_dim];
    for (const name of ["key", "value"]) {
      graph.input(`past_key_values.${l}.${name}`, "float32", shape("past"));
      graph.output(`present.${l}.${name}`, "float32", shape("total"));
    }
  }
  // GroupQueryAttention wants the last key's index and the number of keys as int32.
  graph.constant("one", "int64", 1);
  graph.constant("axis_1", "int64", [1]);
  graph.node("ReduceSum", ["attention_mask", "axis_1"], "keys", { keepdims: 0 });
  graph.node("Sub", ["keys", "one"], "last_key");
  graph.node("Cast", ["last_key"], "seqlens_k", { to: 6 });
  graph.node("Shape", ["attention_mask"], "mask_shape");
  graph.node("Gather", ["mask_shape", "one"], "total_length", { axis: 0 });
  graph.node("Cast", ["total_length"], "total_sequence_length", { to: 6 });

  const [normed, head] = config.architecture === "gpt2" ? gpt2(graph, checkpoint) : llama(graph, checkpoint);
  graph.constant("last", "int64", [-1]);
  graph.node("Gather", [normed, "last"], "last_row", { axis: 1 });
  graph.weight("head", transpose(checkpoint.tensor(head)));
  graph.node("MatMul", ["last_row", "head"], "logits");
  graph.output("logits", "float32", ["batch", 1, config.vocab_size]);
  graph.write();
}

/** @returns the last norm's output, and the name of the head's weights */
function gpt2(graph: OnnxGraph, checkpoint: Checkpoint): readonly [string, string] {
  const { config } = checkpoint;
  const weight = (name: string) => graph.weight(name, checkpoint.tensor(name));
  const epsilon = { float: config.norm_eps };
  const linear = (input: string, name: string, output: string) => {
    graph.node("MatMul", [input, weight(`${name}.weight`)], `${output}.product`);
    return graph.node("Add", [`${output}.product`, weight(`${name}.bias`)], output);
  };
  graph.input("position_ids", "int64", ["batch", "sequence"]);
  graph.node("Gather", [weight("wte.weight"), "input_ids"], "token_rows");
  graph.node("Gather", [weight("wpe.weight"), "position_ids"], "position_rows");
  let stream = graph.node("Add", ["token_rows", "position_rows"], "embedded");
  let normed = graph.node(
    "LayerNormalization",
    [stream, weight("h.0.ln_1.weight"), weight("h.0.ln_1.bias")],
    "normed",
    { axis: -1, epsilon },
  );
  /** stream += added + bias; then the norm behind it. */
  const addAndNorm = (added: string, bias: string, norm: string, name: string) => {
    const [out, sum] = [`${name}.normed`, `${name}.sum`];
    const inputs = [stream, added, weight(`${norm}.weight`), weight(`${norm}.bias`), weight(bias)];
    graph.node("SkipLayerNormalization", inputs, [out, "", "", sum], { epsilon }, MICROSOFT);
    stream = sum;
    normed = out;
  };
  for (let l = 0; l < config.num_hidden_layers; l++) {
    const qkv = linear(normed, `h.${l}.attn.c_attn`, `${l}.qkv`);
    const z = attention(graph, checkpoint, l, [qkv, "", ""], ["", ""]);
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
function llama(graph: OnnxGraph, checkpoint: Checkpoint): readonly [string, string] {
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
    const z = attention(graph, checkpoint, l, [`${l}.qkv`, "", ""], rope);
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

/** Causal attention with its cache; q, k and v are one packed value, rotated here where there is a table. */
function attention(
  graph: OnnxGraph,
  { config }: Checkpoint,
  l: number,
  qkv: readonly [string, string, string],
  rope: readonly [cos: string, sin: string],
): string {
  return graph.node(
    "GroupQueryAttention",
    [
      ...qkv,
      `past_key_values.${l}.key`,
      `past_key_values.${l}.value`,
      "seqlens_k",
      "total_sequence_length",
      ...(rope[0] === "" ? [] : rope),
    ],
    [`${l}.z`, `present.${l}.key`, `present.${l}.value`],
    {
      num_heads: config.num_attention_heads,
      kv_num_heads: config.num_key_value_heads,
      do_rotary: rope[0] === "" ? 0 : 1,
      scale: { float: config.attention_scale[l] ?? 1 / Math.sqrt(config.head_dim) },
    },
    MICROSOFT,
  );
}
