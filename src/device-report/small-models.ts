/** Two small models with drawn weights, of shapes that fill no tile: what kernels are checked with. The same everywhere. */
import { type StoredTensor, storeFloat32, writeSafetensors } from "../formats/safetensors.ts";
import { mulberry32 } from "../numbers/sampling.ts";

export interface SmallModel {
  readonly name: "gpt2" | "llama";
  /** config.json and model.safetensors. */
  readonly files: readonly File[];
  readonly tensors: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
}

type Draw = (name: string, shape: readonly number[], deviation: number, mean?: number) => void;

export const CONTEXT = 96;

/** GPT-2: LayerNorm, biases, one key per query. */
export function smallGpt2(): SmallModel {
  const [d, f, vocab] = [40, 72, 131];
  const config = {
    model_type: "gpt2",
    n_embd: d,
    n_head: 2,
    n_layer: 2,
    n_inner: f,
    n_positions: CONTEXT,
    vocab_size: vocab,
    activation_function: "gelu_new",
  };
  return made("gpt2", config, (draw) => {
    const norm = (name: string): void => {
      draw(`${name}.weight`, [d], 0.2, 1);
      draw(`${name}.bias`, [d], 0.2);
    };
    const conv1d = (name: string, inputs: number, outputs: number): void => {
      draw(`${name}.weight`, [inputs, outputs], 1 / Math.sqrt(inputs));
      draw(`${name}.bias`, [outputs], 0.2);
    };
    draw("wte.weight", [vocab, d], 0.7);
    draw("wpe.weight", [CONTEXT, d], 0.5);
    norm("ln_f");
    for (const block of ["h.0", "h.1"]) {
      norm(`${block}.ln_1`);
      conv1d(`${block}.attn.c_attn`, d, 3 * d);
      conv1d(`${block}.attn.c_proj`, d, d);
      norm(`${block}.ln_2`);
      conv1d(`${block}.mlp.c_fc`, d, f);
      conv1d(`${block}.mlp.c_proj`, f, d);
    }
  });
}

/** Llama: RMSNorm, RoPE, a gated MLP, two queries per key, and a head of its own. */
export function smallLlama(): SmallModel {
  const [d, f, vocab, heads, groups, width] = [44, 68, 137, 4, 2, 12];
  const config = {
    model_type: "llama",
    hidden_size: d,
    intermediate_size: f,
    num_hidden_layers: 2,
    num_attention_heads: heads,
    num_key_value_heads: groups,
    head_dim: width,
    vocab_size: vocab,
    max_position_embeddings: CONTEXT,
    rms_norm_eps: 1e-5,
    hidden_act: "silu",
    rope_theta: 10000,
    tie_word_embeddings: false,
  };
  return made("llama", config, (draw) => {
    const linear = (name: string, inputs: number, outputs: number): void =>
      draw(`${name}.weight`, [outputs, inputs], 1 / Math.sqrt(inputs));
    draw("model.embed_tokens.weight", [vocab, d], 0.7);
    draw("model.norm.weight", [d], 0.2, 1);
    draw("lm_head.weight", [vocab, d], 0.4);
    for (const block of ["model.layers.0", "model.layers.1"]) {
      draw(`${block}.input_layernorm.weight`, [d], 0.2, 1);
      draw(`${block}.post_attention_layernorm.weight`, [d], 0.2, 1);
      linear(`${block}.self_attn.q_proj`, d, heads * width);
      linear(`${block}.self_attn.k_proj`, d, groups * width);
      linear(`${block}.self_attn.v_proj`, d, groups * width);
      linear(`${block}.self_attn.o_proj`, heads * width, d);
      linear(`${block}.mlp.gate_proj`, d, f);
      linear(`${block}.mlp.up_proj`, d, f);
      linear(`${block}.mlp.down_proj`, f, d);
    }
  });
}

function made(name: SmallModel["name"], config: object, drawAll: (draw: Draw) => void): SmallModel {
  const random = mulberry32(0x51);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const tensors = new Map<string, Float32Array<ArrayBuffer>>();
  const stored = new Map<string, StoredTensor>();
  drawAll((tensor, shape, deviation, mean = 0) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, () => mean + deviation * normal());
    tensors.set(tensor, values);
    stored.set(tensor, storeFloat32(values, shape));
  });
  const files = [
    new File([JSON.stringify(config)], "config.json"),
    new File([writeSafetensors(stored)], "model.safetensors"),
  ];
  return { name, files, tensors };
}
