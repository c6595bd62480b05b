/**
 * config.json, as Hugging Face writes it, into the one shape that the engine reads. A field that a file leaves out has the
 * default of transformers' configuration class for that family. A setting that would change the results but is
 * not supported is refused by name; settings that do not concern inference (dropout, initialisers, `use_cache`) are
 * ignored, and so is `torch_dtype` or `dtype`: each tensor's header says how it is stored.
 */
import { QUANT_BLOCK } from "../formats/quantized-block.ts";
import type { ModelConfig } from "../model-config.ts";
import { show, showText } from "../show.ts";
import { ConfigFields, type Notice } from "./config-fields.ts";
import { refuseForeign } from "./foreign-quantization.ts";
import { LLAMA_FAMILIES } from "./llama-families.ts";
import { readGpt2 } from "./read-gpt2.ts";
import { readLlama } from "./read-llama.ts";
import { isMlx, readMlx } from "./read-mlx.ts";

/** The field of config.json for quantised weights. */
export const QUANTIZATION_FIELD = "sluice_quantization";

/**
 * @param json the parsed config.json
 * @param label names the file in errors
 * @param note receives notices about fields that are ignored or read differently
 * @throws `bad_config` naming the field, its value and the file
 */
export function readConfig(json: unknown, label: string, note: Notice = () => undefined): ModelConfig {
  const config = new ConfigFields(json, label, note);
  const quantized = quantizationOf(config, json);
  const model_type = modelType(config);
  const family = LLAMA_FAMILIES.get(model_type);
  return { ...(family ? readLlama(config, model_type, family) : readGpt2(config)), ...quantized };
}

/** `model_type`; if that is missing or unknown, the type in `architectures`. */
function modelType(config: ConfigFields): string {
  const given = config.raw("model_type");
  if (given !== undefined) {
    const type = config.string("model_type");
    if (type === "gpt2" || LLAMA_FAMILIES.has(type)) return type;
  }
  const listed = config.raw("architectures");
  const architectures: readonly unknown[] = Array.isArray(listed) ? listed : [listed];
  for (const [type, architecture] of KNOWN_ARCHITECTURES) {
    if (!architectures.includes(architecture)) continue;
    const said = given === undefined ? "is missing" : `${show(given)} is not known`;
    config.note(`${config.label}: model_type ${said}; by its architectures the model is run as ${type}`);
    return type;
  }
  const known = ["gpt2", ...LLAMA_FAMILIES.keys()].join(", ");
  throw config.refuse("model_type", `the supported architectures are ${known}`);
}

const KNOWN_ARCHITECTURES: readonly (readonly [type: string, architecture: string])[] = [
  ["gpt2", "GPT2LMHeadModel"],
  ["gpt2", "GPT2Model"],
  ...[...LLAMA_FAMILIES].flatMap(([type, { architecture }]) => [
    [type, architecture] as const,
    [type, architecture.replace(/ForCausalLM$/, "Model")] as const,
  ]),
];

type Quantized = Pick<ModelConfig, "quantization" | "quantized_as">;

/** Sluice's own quantised weights, those of a GGUF file, or MLX's; others are refused by name. */
function quantizationOf(config: ConfigFields, json: unknown): Quantized {
  if (!isMlx(config)) {
    refuseForeign(config);
    return readQuantization(config);
  }
  // Refused before the weights are looked at.
  readMlx(json, config.label);
  return { quantization: "mlx" };
}

/** Sluice's own quantised weights: the format and the length of its blocks. What stands for a GGUF file names its type. */
function readQuantization(config: ConfigFields): Quantized {
  const fields = config.object(QUANTIZATION_FIELD);
  if (!fields) return {};
  const format = fields.string("format");
  if (format === "gguf") return { quantization: format, quantized_as: `GGUF ${showText(fields.string("type"))}` };
  if (format !== "q8" && format !== "q4") throw fields.refuse("format", "q8 and q4 are supported");
  if (fields.integer("block") !== QUANT_BLOCK) throw fields.refuse("block", `blocks of ${QUANT_BLOCK} are supported`);
  return { quantization: format };
}
