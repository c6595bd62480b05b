/**
 * Writes a float32 GPT-2 or Llama as GGUF, for llama.cpp and programs built on it.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { closeSync, openSync, writeSync } from "node:fs";
import type { ModelConfig } from "../../../src/model-config.ts";
import { type Checkpoint, type Tensor, transpose } from "./checkpoint.ts";
import { tokenText } from "./token-text.ts";

/** A metadata value with the type that llama.cpp expects at its key. */
type Value =
  | { readonly u32: number }
  | { readonly i32s: readonly number[] }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly text: string }
  | { readonly texts: readonly string[] };

const ALIGNMENT = 32;
const TYPE = { u32: 4, i32: 5, f32: 6, bool: 7, text: 8, list: 9 } as const;
const F32 = 0;
const USER_DEFINED = 4;

/** Writes the file; its tensors are made one by one, so that memory stays at the checkpoint and one tensor. */
export function writeGguf(path: string, checkpoint: Checkpoint): void {
  const { config } = checkpoint;
  const tensors = config.architecture === "gpt2" ? gpt2Tensors(checkpoint) : llamaTensors(checkpoint);
  const header = new Bytes();
  header.u32(0x46554747);
  header.u32(3);
  header.u64(tensors.length);
  const metadata = metadataOf(config);
  header.u64(metadata.length);
  for (const [key, value] of metadata) {
    header.text(key);
    header.value(value);
  }
  let offset = 0;
  for (const { name, shape } of tensors) {
    header.text(name);
    header.u32(shape.length);
    for (const size of [...shape].reverse()) header.u64(size);
    header.u32(F32);
    header.u64(offset);
    offset += aligned(4 * shape.reduce((a, b) => a * b, 1));
  }
  const file = openSync(path, "w");
  try {
    writeAll(file, padded(header.take()));
    for (const { make } of tensors) {
      const { data } = make();
      writeAll(file, padded(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)));
    }
  } finally {
    closeSync(file);
  }
}

function metadataOf(config: ModelConfig): readonly (readonly [key: string, value: Value])[] {
  const arch = config.architecture;
  const last = config.vocab_size - 1;
  const ids = Array.from({ length: config.vocab_size }, (_, id) => id);
  const own: [string, Value][] =
    arch === "gpt2"
      ? [[`${arch}.attention.layer_norm_epsilon`, { f32: config.norm_eps }]]
      : [
          [`${arch}.attention.layer_norm_rms_epsilon`, { f32: config.norm_eps }],
          [`${arch}.attention.head_count_kv`, { u32: config.num_key_value_heads }],
          [`${arch}.rope.dimension_count`, { u32: config.head_dim }],
          [`${arch}.rope.freq_base`, { f32: config.rope?.rope_theta ?? 10_000 }],
          [`${arch}.vocab_size`, { u32: config.vocab_size }],
        ];
  return [
    ["general.architecture", { text: arch }],
    ["general.name", { text: "synthetic" }],
    ["general.file_type", { u32: 0 }],
    [`${arch}.context_length`, { u32: config.max_position_embeddings }],
    [`${arch}.embedding_length`, { u32: config.hidden_size }],
    [`${arch}.feed_forward_length`, { u32: config.intermediate_size }],
    [`${arch}.block_count`, { u32: config.num_hidden_layers }],
    [`${arch}.attention.head_count`, { u32: config.num_attention_heads }],
    ...own,
    // Every token is "user-defined", which is matched literally in a text: merges, of which there must be one, do nothing.
    ["tokenizer.ggml.model", { text: "gpt2" }],
    ["tokenizer.ggml.pre", { text: "gpt-2" }],
    ["tokenizer.ggml.tokens", { texts: ids.map(tokenText) }],
    ["tokenizer.ggml.token_type", { i32s: ids.map(() => USER_DEFINED) }],
    ["tokenizer.ggml.merges", { texts: ["< 0"] }],
    ["tokenizer.ggml.bos_token_id", { u32: last }],
    ["tokenizer.ggml.eos_token_id", { u32: last }],
    ["tokenizer.ggml.add_bos_token", { bool: false }],
  ];
}

interface Entry {
  readonly name: string;
  readonly shape: readonly number[];
  make(): Tensor;
}

/** GPT-2 stores linear weights `[inputs, outputs]`; ggml wants a row for each output. */
function gpt2Tensors(checkpoint: Checkpoint): readonly Entry[] {
  const copy = (name: string, from: string) =>
    entry(name, checkpoint.tensor(from).shape, () => checkpoint.tensor(from));
  const turned = (name: string, from: string) =>
    entry(name, [...checkpoint.tensor(from).shape].reverse(), () => transpose(checkpoint.tensor(from)));
  const layers = Array.from({ length: checkpoint.config.num_hidden_layers }, (_, l) => [
    copy(`blk.${l}.attn_norm.weight`, `h.${l}.ln_1.weight`),
    copy(`blk.${l}.attn_norm.bias`, `h.${l}.ln_1.bias`),
    turned(`blk.${l}.attn_qkv.weight`, `h.${l}.attn.c_attn.weight`),
    copy(`blk.${l}.attn_qkv.bias`, `h.${l}.attn.c_attn.bias`),
    turned(`blk.${l}.attn_output.weight`, `h.${l}.attn.c_proj.weight`),
    copy(`blk.${l}.attn_output.bias`, `h.${l}.attn.c_proj.bias`),
    copy(`blk.${l}.ffn_norm.weight`, `h.${l}.ln_2.weight`),
    copy(`blk.${l}.ffn_norm.bias`, `h.${l}.ln_2.bias`),
    turned(`blk.${l}.ffn_up.weight`, `h.${l}.mlp.c_fc.weight`),
    copy(`blk.${l}.ffn_up.bias`, `h.${l}.mlp.c_fc.bias`),
    turned(`blk.${l}.ffn_down.weight`, `h.${l}.mlp.c_proj.weight`),
    copy(`blk.${l}.ffn_down.bias`, `h.${l}.mlp.c_proj.bias`),
  ]);
  return [
    copy("token_embd.weight", "wte.weight"),
    copy("position_embd.weight", "wpe.weight"),
    ...layers.flat(),
    copy("output_norm.weight", "ln_f.weight"),
    copy("output_norm.bias", "ln_f.bias"),
  ];
}

/** ggml rotates adjacent pairs where Hugging Face rotates halves, so rows of q and k change places within a head. */
function llamaTensors(checkpoint: Checkpoint): readonly Entry[] {
  const { num_hidden_layers, head_dim, tie_word_embeddings } = checkpoint.config;
  const copy = (name: string, from: string) =>
    entry(name, checkpoint.tensor(from).shape, () => checkpoint.tensor(from));
  const paired = (name: string, from: string) =>
    entry(name, checkpoint.tensor(from).shape, () => pairRows(checkpoint.tensor(from), head_dim));
  const layers = Array.from({ length: num_hidden_layers }, (_, l) => {
    const from = `model.layers.${l}`;
    return [
      copy(`blk.${l}.attn_norm.weight`, `${from}.input_layernorm.weight`),
      paired(`blk.${l}.attn_q.weight`, `${from}.self_attn.q_proj.weight`),
      paired(`blk.${l}.attn_k.weight`, `${from}.self_attn.k_proj.weight`),
      copy(`blk.${l}.attn_v.weight`, `${from}.self_attn.v_proj.weight`),
      copy(`blk.${l}.attn_output.weight`, `${from}.self_attn.o_proj.weight`),
      copy(`blk.${l}.ffn_norm.weight`, `${from}.post_attention_layernorm.weight`),
      copy(`blk.${l}.ffn_gate.weight`, `${from}.mlp.gate_proj.weight`),
      copy(`blk.${l}.ffn_up.weight`, `${from}.mlp.up_proj.weight`),
      copy(`blk.${l}.ffn_down.weight`, `${from}.mlp.down_proj.weight`),
    ];
  });
  return [
    copy("token_embd.weight", "model.embed_tokens.weight"),
    ...layers.flat(),
    copy("output_norm.weight", "model.norm.weight"),
    ...(tie_word_embeddings ? [] : [copy("output.weight", "lm_head.weight")]),
  ];
}

function entry(name: string, shape: readonly number[], make: () => Tensor): Entry {
  return { name, shape, make };
}

/** Within each head, row i of the first half and row i of the second become neighbours. */
function pairRows({ shape, data }: Tensor, headDim: number): Tensor {
  const [rows = 0, columns = 0] = shape;
  const out = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim;
    const half = inHead >= headDim / 2 ? 1 : 0;
    const to = row - inHead + 2 * (inHead - (half * headDim) / 2) + half;
    out.set(data.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return { shape, data: out };
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

function padded(bytes: Uint8Array): Uint8Array {
  if (bytes.length === aligned(bytes.length)) return bytes;
  const out = new Uint8Array(aligned(bytes.length));
  out.set(bytes);
  return out;
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at, Math.min(bytes.length - at, 1 << 28));
}

/** Little-endian values after one another. */
class Bytes {
  readonly #parts: Buffer[] = [];

  take(): Uint8Array {
    return Buffer.concat(this.#parts);
  }

  u32(value: number): void {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    this.#parts.push(part);
  }

  u64(value: number): void {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    this.#parts.push(part);
  }

  text(text: string): void {
    const part = Buffer.from(text);
    this.u64(part.length);
    this.#parts.push(part);
  }

  value(value: Value): void {
    if ("u32" in value) {
      this.u32(TYPE.u32);
      this.u32(value.u32);
    } else if ("f32" in value) {
      this.u32(TYPE.f32);
      this.#parts.push(Buffer.from(Float32Array.of(value.f32).buffer));
    } else if ("bool" in value) {
      this.u32(TYPE.bool);
      this.#parts.push(Buffer.of(value.bool ? 1 : 0));
    } else if ("text" in value) {
      this.u32(TYPE.text);
      this.text(value.text);
    } else if ("i32s" in value) {
      this.#list(TYPE.i32, value.i32s.length);
      this.#parts.push(Buffer.from(Int32Array.from(value.i32s).buffer));
    } else {
      this.#list(TYPE.text, value.texts.length);
      for (const text of value.texts) this.text(text);
    }
  }

  #list(type: number, length: number): void {
    this.u32(TYPE.list);
    this.u32(type);
    this.u64(length);
  }
}
