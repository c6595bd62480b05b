/**
 * Prints the table of sizes in docs/models.md: computed from configurations, since nothing is downloaded.
 *
 *   npx tsx scripts/model-sizes.ts
 */
import { readConfig } from "../src/architectures/read-config.ts";
import { weightsOf } from "../src/graph/graph.ts";
import { imaginedModel } from "../test/support/imagined-plan.ts";

/** Fields of config.json that sizes depend on, as they are on the hub. */
const gpt2 = { model_type: "gpt2", n_embd: 768, n_head: 12, n_layer: 12, vocab_size: 50257, n_positions: 1024 };

/** @param shape hidden size, MLP width, layers, heads, key and value heads, vocabulary */
function llama(
  model_type: string,
  shape: readonly [number, number, number, number, number, number],
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const [hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, vocab_size] =
    shape;
  const sizes = {
    hidden_size,
    intermediate_size,
    num_hidden_layers,
    num_attention_heads,
    num_key_value_heads,
    vocab_size,
  };
  return { model_type, ...sizes, max_position_embeddings: 8192, ...more };
}

const tied = { tie_word_embeddings: true };

const models: Readonly<Record<string, Record<string, unknown>>> = {
  "openai-community/gpt2": gpt2,
  "HuggingFaceTB/SmolLM2-135M-Instruct": llama("llama", [576, 1536, 30, 9, 3, 49152], tied),
  "HuggingFaceTB/SmolLM2-360M-Instruct": llama("llama", [960, 2560, 32, 15, 5, 49152], tied),
  "Qwen/Qwen2.5-0.5B-Instruct": llama("qwen2", [896, 4864, 24, 14, 2, 151936], tied),
  "TinyLlama/TinyLlama-1.1B-Chat-v1.0": llama("llama", [2048, 5632, 22, 32, 4, 32000]),
  "meta-llama/Llama-3.2-1B-Instruct": llama("llama", [2048, 8192, 16, 32, 8, 128256], { ...tied, head_dim: 64 }),
  "Qwen/Qwen2.5-1.5B-Instruct": llama("qwen2", [1536, 8960, 28, 12, 2, 151936], tied),
  "HuggingFaceTB/SmolLM2-1.7B-Instruct": llama("llama", [2048, 8192, 24, 32, 32, 49152], tied),
  "meta-llama/Llama-3.2-3B-Instruct": llama("llama", [3072, 8192, 28, 24, 8, 128256], { ...tied, head_dim: 128 }),
  "mistralai/Mistral-7B-Instruct-v0.3": llama("mistral", [4096, 14336, 32, 32, 8, 32768]),
};

/** Positions in the cache. */
const CONTEXT = 2048;

const cell = (bytes: number): string =>
  bytes < 995e6 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;

console.log("| model | parameters | as stored | in q8 | in q4 | cache | f16-cache |");
console.log("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
for (const [id, json] of Object.entries(models)) {
  const config = readConfig(json, id, () => undefined);
  // GPT-2's file is float32, all others are bfloat16.
  const dtype = config.architecture === "gpt2" ? "F32" : "BF16";
  const { plain, layout } = imaginedModel(config, { dtype });
  const counts = new Map<string, number>();
  for (const { matrices, vectors } of plain.nodes.map(weightsOf)) {
    for (const { tensor, tensorOutputs, inputs } of matrices) counts.set(tensor, tensorOutputs * inputs);
    for (const { tensor, tensorLength } of vectors) counts.set(tensor, tensorLength);
  }
  const parameters = [...counts.values()].reduce((a, b) => a + b, 0);
  const { num_hidden_layers, num_key_value_heads, head_dim, max_position_embeddings } = config;
  const cache = 2 * num_hidden_layers * num_key_value_heads * head_dim * 4 * Math.min(CONTEXT, max_position_embeddings);
  const quantized = (["q8", "q4"] as const).map((quantize) =>
    cell(imaginedModel(config, { dtype, quantize }).layout.byteLength),
  );
  const inMillions =
    parameters < 1e9 ? `${Math.round(parameters / 1e6)} million` : `${(parameters / 1e9).toFixed(2)} billion`;
  console.log(
    `| ${[id, inMillions, cell(layout.byteLength), ...quantized, cell(cache), cell(cache / 2)].join(" | ")} |`,
  );
}
