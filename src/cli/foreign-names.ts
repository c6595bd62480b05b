/** Other programs' names for our options: a user who types one is shown ours. */
import type { CommandShape } from "./command-shape.ts";
import { optionName } from "./option-name.ts";

/**
 * Names of llama.cpp (its programs and llama-bench), transformers, vLLM and OpenAI's interface, without dashes in front
 * and with dashes inside; for each, our options in camel case and arguments in capitals. The first that a command has is
 * suggested.
 */
const FOREIGN: Readonly<Record<string, readonly string[]>> = {
  n: ["maxNewTokens", "samples"],
  "n-predict": ["maxNewTokens"],
  predict: ["maxNewTokens"],
  "n-gen": ["maxNewTokens"],
  "new-tokens": ["maxNewTokens"],
  "max-tokens": ["maxNewTokens"],
  "max-completion-tokens": ["maxNewTokens"],
  "max-output-tokens": ["maxNewTokens"],
  "max-length": ["maxNewTokens", "maxTokens"],
  "n-prompt": ["promptTokens"],
  p: ["PROMPT", "promptTokens"],
  prompt: ["PROMPT"],
  input: ["PROMPT", "texts"],
  "input-ids": ["tokens"],
  ids: ["tokens"],
  m: ["MODEL"],
  model: ["MODEL"],
  "model-path": ["MODEL"],
  f: ["texts", "prompts"],
  file: ["texts", "prompts"],
  "prompt-file": ["prompts", "texts"],
  dataset: ["texts", "prompts"],
  c: ["context"],
  "ctx-size": ["context"],
  "n-ctx": ["context"],
  "max-model-len": ["context"],
  t: ["temperature"],
  temp: ["temperature"],
  "do-sample": ["temperature"],
  s: ["seed"],
  "repeat-penalty": ["repetitionPenalty"],
  "frequency-penalty": ["frequencyPenalty", "repetitionPenalty"],
  "presence-penalty": ["presencePenalty", "repetitionPenalty"],
  r: ["stop", "repetitions"],
  "reverse-prompt": ["stop"],
  "stop-strings": ["stop"],
  "stop-sequence": ["stop"],
  "eos-token-id": ["stopToken"],
  "stop-token-ids": ["stopToken"],
  "num-return-sequences": ["samples"],
  "best-of": ["samples"],
  "num-samples": ["samples"],
  sys: ["system"],
  "system-prompt": ["system"],
  device: ["adapter"],
  dev: ["adapter"],
  gpu: ["adapter"],
  "load-in-4bit": ["quantize"],
  "load-in-8bit": ["quantize"],
  quantization: ["quantize"],
  type: ["to", "quantize"],
  "control-vector": ["with"],
  "control-vector-scaled": ["with"],
  bundle: ["with"],
  lora: ["with"],
  scale: ["strength"],
  o: ["out"],
  output: ["out"],
  "output-file": ["out"],
  "n-layer": ["layer", "layers"],
  hook: ["site"],
  "hook-point": ["site"],
};

/** Our option or argument, as it is typed, for another program's name; null if the name is unknown. */
export function foreignName(typed: string, { options, positionals }: CommandShape): string | null {
  const bare = typed.replace(/^-+/, "").replaceAll("_", "-").toLowerCase();
  const candidates = Object.hasOwn(FOREIGN, bare) ? (FOREIGN[bare] ?? []) : [];
  const ours = candidates.find((name) => name in options || name.toLowerCase() in positionals);
  if (ours === undefined) return null;
  return ours in options ? optionName(ours) : ours;
}
