/** The one shape into which every config.json is read. Field names are Hugging Face's where they have one. */

/** The function between the MLP's matrices, as transformers names it. */
export type ActivationName = "gelu_new" | "gelu" | "gelu_quick" | "relu" | "silu";

/** Quantised weights in blocks of 32 inputs: whole numbers of 8 or 4 bits, and one float16 scale per block. */
export type QuantFormat = "q8" | "q4";

/**
 * How matrices that a file holds quantised lie on the GPU, beside q8 and q4: formats/block-formats.ts.
 *
 * a4 and a8: unsigned codes with an offset, by the type of the scales; per 32 inputs, `by16` and `by64`: per 16 or 64.
 * s6: signed codes of 6 bits without an offset, in bytes, with a scale per 16 inputs.
 */
export type BlockFormat =
  | "a4_f16"
  | "a4_bf16"
  | "a4_f32"
  | "a8_f16"
  | "a8_bf16"
  | "a8_f32"
  | "a4_f16_by64"
  | "a4_bf16_by64"
  | "a8_f16_by64"
  | "a8_bf16_by64"
  | "a8_f32_by16"
  | "s6_f32_by16";

/** Other programs' files of quantised weights, which are read as they are. */
export type ReadyMade = "mlx" | "gguf";

/** Rotary positions: frequencies, and how they are rescaled for long contexts. */
export interface RopeConfig {
  /** Base of the frequencies. */
  readonly rope_theta: number;
  /** The share of each head, from its start, that is rotated; absent: all of it. */
  readonly partial_rotary_factor?: number;
  /** How the inverse frequencies are rescaled. `default` does not change them, nor does NTK scaling within the context. */
  readonly scaling:
    | { readonly rope_type: "default" }
    | { readonly rope_type: "linear"; readonly factor: number }
    | {
        readonly rope_type: "llama3";
        readonly factor: number;
        readonly low_freq_factor: number;
        readonly high_freq_factor: number;
        readonly original_max_position_embeddings: number;
      }
    | {
        readonly rope_type: "yarn";
        readonly factor: number;
        readonly original_max_position_embeddings: number;
        readonly beta_fast: number;
        readonly beta_slow: number;
        /** Whether the bounds of the ramp are rounded to whole dimensions. */
        readonly truncate: boolean;
        /** Multiplies cos and sin. */
        readonly attention_factor: number;
      }
    | {
        readonly rope_type: "longrope";
        /** Divisors of each frequency, for contexts up to the original length and for longer ones. */
        readonly short_factor: readonly number[];
        readonly long_factor: readonly number[];
        readonly original_max_position_embeddings: number;
        /** Multiplies cos and sin. */
        readonly attention_factor: number;
      }
    /** Frequencies over the whole head's width; the last are 0: those dimensions are not rotated. */
    | { readonly rope_type: "proportional"; readonly factor: number };
}

/** A model's shape and the features of its graph, for every family. */
export interface ModelConfig {
  /** The graph that serves it: mistral, qwen2, phi3 and similar families use `llama`. */
  readonly architecture: "gpt2" | "llama";
  /** transformers' name of the family: gpt2, llama, mistral, qwen2, … */
  readonly model_type: string;
  /** Blocks. */
  readonly num_hidden_layers: number;
  /** d: width of the residual stream. */
  readonly hidden_size: number;
  /** H: query heads. */
  readonly num_attention_heads: number;
  /** G: key/value heads; H % G == 0. */
  readonly num_key_value_heads: number;
  /** dh: width of a head; need not be d/H. Even if RoPE is used. */
  readonly head_dim: number;
  /** f: MLP width. */
  readonly intermediate_size: number;
  /** Rows of the token embedding. */
  readonly vocab_size: number;
  /** Positions the model was made for. A hard bound for learned positions, and in Sluice for all models. */
  readonly max_position_embeddings: number;
  /** Added to the variance before its square root is taken. */
  readonly norm_eps: number;
  /** `layer`: LayerNorm with a bias; `rms`: RMSNorm without. */
  readonly norm: "layer" | "rms";
  /** `plain`: act(x·W); `gated`: act(gate)·up. */
  readonly mlp: "plain" | "gated";
  /** The MLP's activation function. */
  readonly activation: ActivationName;
  /** Whether the output head is the token embedding. */
  readonly tie_word_embeddings: boolean;
  /** Whether a table of positions is added to the embedding. */
  readonly learned_positions: boolean;
  /** Absent if no position is rotated. */
  readonly rope?: RopeConfig;
  /** Layers with RoPE, one entry per layer; absent: all. */
  readonly rope_layers?: readonly boolean[];
  /** Whether q, k and v are stored as one matrix, and gate and up as another. */
  readonly fused_projections?: boolean;
  /** Bias on q, k and v (GPT-2, Qwen2, Llama's attention_bias). */
  readonly qkv_bias: boolean;
  /** Bias on the attention output projection. */
  readonly attn_out_bias: boolean;
  /** Biases on the MLP's matrices. */
  readonly mlp_bias: boolean;
  /** Whether config.json can enable biases that the model does not have: `attention_bias`, `mlp_bias`. */
  readonly bias_switches: boolean;
  /** Keys visible to a query, including itself; absent: all. Per layer if a model mixes both. */
  readonly sliding_window?: number;
  /** One entry per layer: whether `sliding_window` applies. Absent: everywhere, if there is a window. */
  readonly sliding_layers?: readonly boolean[];
  /** Factor on q·k, one per layer: 1/sqrt(dh), except for GPT-2's scale_attn_* variants. */
  readonly attention_scale: readonly number[];
  /** Id of the token that begins a text; absent if there is none. */
  readonly bos_token_id?: number;
  /** Ids that end a text. */
  readonly eos_token_ids: readonly number[];
  /**
   * How linear weights and the token embedding are kept; absent: as floats. `mlx` and `gguf`: as the file holds them,
   * each matrix in a format of its own.
   */
  readonly quantization?: QuantFormat | ReadyMade;
  /** What the file calls its mixture of formats: `GGUF Q4_K_M`. Absent if it has no name for it. */
  readonly quantized_as?: string;
}
