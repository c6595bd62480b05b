/**
 * Small models twice: quantised as MLX stores them, and as float32 folders of the same weights. Codes, scales and biases are
 * drawn, packed and dequantised here by plain loops after MLX's documentation, without the code under test.
 */
import { narrowToBf16, narrowToF16, widenBf16, widenF16 } from "../../src/formats/half.ts";
import { type StoredTensor, storeFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { normal, seedOf, uniform } from "../reference/draw.ts";

export interface DrawnCoding {
  readonly bits: 4 | 8;
  readonly group: 32 | 64 | 128;
}

export interface DrawnModel {
  readonly config: Readonly<Record<string, unknown>>;
  /** How most modules are quantised. */
  readonly usual: DrawnCoding;
  /** Exceptions by the module's path; false: float. */
  readonly modules?: Readonly<Record<string, DrawnCoding | false>>;
  /** Of scales and biases. */
  readonly scales: "F16" | "BF16" | "F32";
  readonly seed: number;
}

export interface ModelTwice {
  readonly quantised: File[];
  readonly floats: File[];
  /** Of the quantised folder. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly config: Readonly<Record<string, unknown>>;
}

interface Matrix {
  readonly path: string;
  readonly outputs: number;
  readonly inputs: number;
  /** Name and orientation in a float folder, if they differ. */
  readonly float?: { readonly path: string; readonly transposed: boolean };
}

/** A llama or a gpt2, as `config.model_type` says. */
export function drawnModel(drawn: DrawnModel): ModelTwice {
  const { config, usual, modules = {}, seed } = drawn;
  const { matrices, vectors } = config["model_type"] === "gpt2" ? gpt2(config) : llama(config);
  const tensors = new Map<string, StoredTensor>();
  const floats = new Map<string, StoredTensor>();
  for (const { path, outputs, inputs, float = { path, transposed: false } } of matrices) {
    const coding = modules[path] ?? usual;
    let weights: Float32Array;
    if (coding === false) {
      weights = normal(seed, path, outputs * inputs, 0.06);
      tensors.set(`${path}.weight`, storeFloat32(weights, [outputs, inputs]));
    } else {
      const quantised = drawMatrix(path, outputs, inputs, coding, drawn);
      weights = quantised.weights;
      for (const [ending, tensor] of Object.entries(quantised.stored)) tensors.set(`${path}.${ending}`, tensor);
    }
    floats.set(
      `${float.path}.weight`,
      float.transposed ? turned(weights, outputs, inputs) : storeFloat32(weights, [outputs, inputs]),
    );
  }
  for (const { name, length, mean, float = name } of vectors) {
    const values = storeFloat32(normal(seed, name, length, 0.05, mean), [length]);
    tensors.set(name, values);
    floats.set(float, values);
  }
  const described = { group_size: usual.group, bits: usual.bits, mode: "affine" };
  const exceptions = Object.entries(modules).map(([path, coding]) => [
    path,
    coding && { group_size: coding.group, bits: coding.bits },
  ]);
  const quantization = { ...described, ...Object.fromEntries(exceptions) };
  const marked = { ...config, quantization, quantization_config: quantization };
  return { quantised: folder(marked, tensors), floats: folder(config, floats), tensors, config: marked };
}

/** The files of a folder. */
export function folder(config: unknown, tensors: ReadonlyMap<string, StoredTensor>): File[] {
  return [
    new File([JSON.stringify(config)], "config.json"),
    new File([writeSafetensors(tensors, { format: "mlx" })], "model.safetensors"),
  ];
}

/** Random codes with scales and biases, packed; and code·scale + bias. */
function drawMatrix(path: string, outputs: number, inputs: number, { bits, group }: DrawnCoding, drawn: DrawnModel) {
  const next = uniform(seedOf(drawn.seed, path));
  const groups = inputs / group;
  const range = 2 ** bits;
  const scales = Float32Array.from(
    { length: outputs * groups },
    () => ((next() < 0.5 ? -1 : 1) * (0.1 + 0.1 * next())) / range,
  );
  // About the middle of the codes.
  const biases = scales.map((scale) => -scale * range * (0.3 + 0.4 * next()));
  const [s, b] = [rounded(scales, drawn.scales), rounded(biases, drawn.scales)];
  const words = new Uint32Array((outputs * inputs * bits) / 32);
  const weights = new Float32Array(outputs * inputs);
  for (let n = 0; n < outputs; n++) {
    for (let k = 0; k < inputs; k++) {
      const code = Math.floor(next() * range);
      const bit = (n * inputs + k) * bits;
      words[bit >> 5] = ((words[bit >> 5] as number) | (code << (bit & 31))) >>> 0;
      const at = n * groups + Math.floor(k / group);
      weights[n * inputs + k] = Math.fround((s.values[at] as number) * code + (b.values[at] as number));
    }
  }
  const packed = { dtype: "U32", shape: [outputs, (inputs * bits) / 32], bytes: new Uint8Array(words.buffer) };
  const shape = [outputs, groups];
  return { weights, stored: { weight: packed, scales: { ...s.stored, shape }, biases: { ...b.stored, shape } } };
}

/** Values rounded to a type, as they are stored. */
function rounded(values: Float32Array, dtype: DrawnModel["scales"]) {
  if (dtype === "F32") return { values, stored: { dtype, bytes: new Uint8Array(values.slice().buffer) } };
  const bits = dtype === "F16" ? narrowToF16(values) : narrowToBf16(values);
  const wide = dtype === "F16" ? widenF16(bits) : widenBf16(bits);
  return { values: wide, stored: { dtype, bytes: new Uint8Array(bits.buffer) } };
}

function turned(weights: Float32Array, outputs: number, inputs: number): StoredTensor {
  const other = new Float32Array(weights.length);
  for (let n = 0; n < outputs; n++) {
    for (let k = 0; k < inputs; k++) other[k * outputs + n] = weights[n * inputs + k] as number;
  }
  return storeFloat32(other, [inputs, outputs]);
}

interface Names {
  readonly matrices: readonly Matrix[];
  readonly vectors: readonly { name: string; length: number; mean: number; float?: string }[];
}

function llama(config: DrawnModel["config"]): Names {
  const of = (name: string): number => config[name] as number;
  const [d, f, vocab] = [of("hidden_size"), of("intermediate_size"), of("vocab_size")];
  const [q, kv] = [of("num_attention_heads") * of("head_dim"), of("num_key_value_heads") * of("head_dim")];
  const matrices: Matrix[] = [{ path: "model.embed_tokens", outputs: vocab, inputs: d }];
  const vectors = [{ name: "model.norm.weight", length: d, mean: 1 }];
  if (config["tie_word_embeddings"] === false) matrices.push({ path: "lm_head", outputs: vocab, inputs: d });
  for (let l = 0; l < of("num_hidden_layers"); l++) {
    const at = `model.layers.${l}`;
    for (const [name, outputs, inputs] of [
      ["self_attn.q_proj", q, d],
      ["self_attn.k_proj", kv, d],
      ["self_attn.v_proj", kv, d],
      ["self_attn.o_proj", d, q],
      ["mlp.gate_proj", f, d],
      ["mlp.up_proj", f, d],
      ["mlp.down_proj", d, f],
    ] as const) {
      matrices.push({ path: `${at}.${name}`, outputs, inputs });
    }
    vectors.push({ name: `${at}.input_layernorm.weight`, length: d, mean: 1 });
    vectors.push({ name: `${at}.post_attention_layernorm.weight`, length: d, mean: 1 });
  }
  return { matrices, vectors };
}

/** MLX's GPT-2: the names have a prefix, and all linear weights are stored outputs first. */
function gpt2(config: DrawnModel["config"]): Names {
  const of = (name: string): number => config[name] as number;
  const d = of("n_embd");
  const table = (name: string, outputs: number): Matrix => ({
    path: `model.${name}`,
    outputs,
    inputs: d,
    float: { path: name, transposed: false },
  });
  const matrices = [table("wte", of("vocab_size")), table("wpe", of("n_positions"))];
  const vectors: { name: string; length: number; mean: number; float: string }[] = [];
  const vector = (float: string, length: number, mean: number) =>
    vectors.push({ name: `model.${float}`, length, mean, float });
  for (let l = 0; l < of("n_layer"); l++) {
    for (const [name, outputs, inputs] of [
      ["attn.c_attn", 3 * d, d],
      ["attn.c_proj", d, d],
      ["mlp.c_fc", 4 * d, d],
      ["mlp.c_proj", d, 4 * d],
    ] as const) {
      const path = `h.${l}.${name}`;
      matrices.push({ path: `model.${path}`, outputs, inputs, float: { path, transposed: true } });
      vector(`${path}.bias`, outputs, 0);
    }
    for (const norm of [`h.${l}.ln_1`, `h.${l}.ln_2`]) {
      vector(`${norm}.weight`, d, 1);
      vector(`${norm}.bias`, d, 0);
    }
  }
  vector("ln_f.weight", d, 1);
  vector("ln_f.bias", d, 0);
  return { matrices, vectors };
}
