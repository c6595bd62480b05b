/** Quantised weights that are not read, by name: as config.json describes them, and as their tensors show. */
import { SluiceError } from "../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { show } from "../show.ts";
import type { ConfigFields } from "./config-fields.ts";

const INSTEAD =
  "Take the model in MLX's format (4 or 8 bits, for example from mlx-community), as GGUF, or its float16, bfloat16 or float32 " +
  "weights; `--quantize q8` or `q4` keeps those small in memory.";

/** What `quant_method` calls them, and what people do. */
const METHODS: ReadonlyMap<string, string> = new Map([
  ["gptq", "GPTQ"],
  ["awq", "AWQ"],
  ["bitsandbytes", "bitsandbytes"],
  ["compressed-tensors", "compressed-tensors"],
  ["fp8", "FP8"],
  ["fbgemm_fp8", "FP8 (FBGEMM)"],
  ["modelopt", "NVIDIA ModelOpt (NVFP4 or FP8)"],
  ["mxfp4", "MXFP4"],
  ["quanto", "Quanto"],
  ["torchao", "torchao"],
  ["hqq", "HQQ"],
  ["eetq", "EETQ"],
  ["aqlm", "AQLM"],
  ["vptq", "VPTQ"],
  ["higgs", "HIGGS"],
  ["spqr", "SpQR"],
  ["bitnet", "BitNet"],
  ["auto-round", "AutoRound"],
  ["intel/auto-round", "AutoRound"],
  ["quark", "Quark"],
  ["fp_quant", "FP-Quant (NVFP4 or MXFP4)"],
]);

/** @throws `bad_config` if config.json describes weights that another engine quantised */
export function refuseForeign(config: ConfigFields): void {
  for (const field of ["quantization_config", "quantization"]) {
    if (config.raw(field) === undefined) continue;
    throw config.refuse(field, `weights quantised by ${nameOf(config.raw(field))} are not read`, INSTEAD);
  }
}

function nameOf(description: unknown): string {
  if (typeof description !== "object" || description === null) return "another engine";
  const fields = description as Readonly<Record<string, unknown>>;
  const method = fields["quant_method"];
  if (typeof method === "string") {
    const known = METHODS.get(method.toLowerCase());
    const format = fields["quant_algo"] ?? fields["format"];
    return `${known ?? show(method)}${typeof format === "string" ? ` (${show(format)})` : ""}`;
  }
  if (fields["load_in_4bit"] !== undefined || fields["load_in_8bit"] !== undefined) return "bitsandbytes";
  if (fields["desc_act"] !== undefined) return "GPTQ";
  if (fields["zero_point"] !== undefined) return "AWQ";
  return "another engine";
}

/** Tensors beside a weight that only one engine writes, and what that is. */
const TRACES: readonly (readonly [ending: string, engine: string])[] = [
  [".qweight", "GPTQ or AWQ"],
  [".weight_packed", "compressed-tensors"],
  [".weight.absmax", "bitsandbytes"],
  [".weight_format", "bitsandbytes"],
  [".SCB", "bitsandbytes"],
  [".weight_scale_2", "NVIDIA ModelOpt (NVFP4)"],
  [".weight_scale_inv", "FP8"],
  [".weight_scale", "FP8 or compressed-tensors"],
  [".scales", "MLX, which config.json does not say"],
];

/**
 * The error for a weight that another engine quantised, although config.json does not say so.
 * @param name of the tensor that a float model has
 * @returns undefined if nothing shows that it is quantised
 */
export function foreignWeight(name: string, { tensors }: Pick<Checkpoint, "tensors">): SluiceError | undefined {
  const path = name.replace(/\.weight$/, "");
  const trace = TRACES.find(([ending]) => tensors.has(`${path}${ending}`));
  const dtype = tensors.get(name)?.dtype;
  const engine = trace?.[1] ?? (dtype?.startsWith("F8_") ? "FP8" : undefined);
  if (engine === undefined) return undefined;
  return new SluiceError("bad_weights", `${path} is quantised by ${engine}, and such weights are not read`, {
    hint: INSTEAD,
  });
}
