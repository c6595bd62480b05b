/** The one shape every config.json is read into. Field names are Hugging Face's where they have one. */

export type ActivationName = "gelu_new" | "gelu" | "gelu_quick" | "relu" | "silu";

/** Quantised weights in blocks of 32 inputs: whole numbers of 8 or 4 bits, and a float16 scale a block. */
export type QuantFormat = "q8" | "q4";

export interface RopeConfig {
  readonly rope_theta: number;
  /** How the inverse frequencies are rescaled. `default` leaves them alone. */
  readonly scaling:
    | { readonly rope_type: "default" }
    | { readonly rope_type: "linear"; readonly factor: number }
    | {
        readonly rope_type: "llama3";
        readonly factor: number;
        readonly low_freq_factor: number;
        readonly high_freq_factor: number;
        readonly original_max_position_embeddings: number;
      };
}

export interface ModelConfig {
  /** The graph that serves it: mistral and qwen2 are read into `llama`. */
  readonly architecture: "gpt2" | "llama";
  /** As config.json spells it: gpt2, llama, mistral, qwen2. */
  readonly model_type: string;
  readonly num_hidden_layers: number;
  /** d: width of the residual stream. */
  readonly hidden_size: number;
  /** H: query heads. */
  readonly num_attention_heads: number;
  /** G: key/value heads; H % G == 0. */
  readonly num_key_value_heads: number;
  /** dh: width of a head; need not be d/H. Even where RoPE is used. */
  readonly head_dim: number;
  /** f: MLP width. */
  readonly intermediate_size: number;
  readonly vocab_size: number;
  /** Positions the model was made for. A hard bound for learned positions, and for us everywhere. */
  readonly max_position_embeddings: number;
  readonly norm_eps: number;
  readonly activation: ActivationName;
  readonly tie_word_embeddings: boolean;
  /** Llama only; GPT-2 has learned positions. */
  readonly rope?: RopeConfig;
  /** Bias on q, k and v (GPT-2, Qwen2, Llama's attention_bias). */
  readonly qkv_bias: boolean;
  /** Bias on the attention output projection. */
  readonly attn_out_bias: boolean;
  readonly mlp_bias: boolean;
  /** Keys visible to a query, itself included; absent: all. Per layer where a model mixes both. */
  readonly sliding_window?: number;
  /** One entry a layer: does `sliding_window` hold there? Absent: everywhere, if there is a window. */
  readonly sliding_layers?: readonly boolean[];
  /** Factor on q·k, one per layer: 1/sqrt(dh), except for GPT-2's scale_attn_* variants. */
  readonly attention_scale: readonly number[];
  readonly bos_token_id?: number;
  readonly eos_token_ids: readonly number[];
  /** How linear weights and the token embedding are kept; absent: as floats. */
  readonly quantization?: QuantFormat;
}
