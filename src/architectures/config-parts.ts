/** Parts of config.json that all families share. */
import type { ActivationName, ModelConfig } from "../model-config.ts";
import type { ConfigFields } from "./config-fields.ts";

/** More layers than any model has: beyond this, a typing error would fill the memory with layer records. */
export const MAX_LAYERS = 65_536;

/** d / H, for heads that divide the stream's width. */
export function dividedHeads(config: ConfigFields, name: string, hidden_size: number, heads: number): number {
  if (hidden_size % heads === 0) return hidden_size / heads;
  throw config.refuse(name, `the heads must divide the hidden size of ${hidden_size} evenly if head_dim is not given`);
}

/**
 * transformers' names for five functions. Its tanh forms of gelu (gelu_new, gelu_fast, …) are one
 * formula written in different ways, equal up to rounding.
 */
const ACTIVATIONS: ReadonlyMap<string, ActivationName> = new Map<string, ActivationName>([
  ["gelu_new", "gelu_new"],
  ["gelu_fast", "gelu_new"],
  ["gelu_accurate", "gelu_new"],
  ["gelu_pytorch_tanh", "gelu_new"],
  ["gelu_python_tanh", "gelu_new"],
  ["gelu", "gelu"],
  ["gelu_python", "gelu"],
  ["quick_gelu", "gelu_quick"],
  ["relu", "relu"],
  ["silu", "silu"],
  ["swish", "silu"],
]);

export function readActivation(config: ConfigFields, name: string, fallback: ActivationName): ActivationName {
  const activation = ACTIVATIONS.get(config.string(name, fallback));
  if (activation) return activation;
  throw config.refuse(name, `the supported activations are ${[...ACTIVATIONS.keys()].join(", ")}`);
}

/** A family's default ids apply only if they are within the vocabulary: small models keep the large one's class. */
export function readTokens(
  config: ConfigFields,
  vocabulary: number,
  bosDefault: number | undefined,
  eosDefault: number | undefined,
): Pick<ModelConfig, "bos_token_id" | "eos_token_ids"> {
  const read = (name: string, fallback: number | undefined): readonly number[] => {
    if (config.has(name)) return config.tokens(name, vocabulary) ?? [];
    return fallback !== undefined && fallback < vocabulary ? [fallback] : [];
  };
  const [bos] = read("bos_token_id", bosDefault);
  return { eos_token_ids: read("eos_token_id", eosDefault), ...(bos !== undefined && { bos_token_id: bos }) };
}
