/** MLX's quantised weights, as config.json describes them. */
import type { MlxCoding, MlxQuantization } from "../formats/mlx.ts";
import { ConfigFields } from "./config-fields.ts";

/** Fields of config.json that MLX writes: both, with the same contents; a file may have one of them. */
const FIELDS = ["quantization", "quantization_config"] as const;

/** Fields of the description itself; each other field is a module's path. */
const OWN = new Set(["group_size", "bits", "mode", "quant_method", "quantize_input"]);

const INSTEAD =
  "Take the same model in MLX's format with 4 or 8 bits, or its float16, bfloat16 or float32 weights with `--quantize q8` or `q4`.";

/** Whether a configuration describes weights that MLX quantised. Other engines' descriptions name a method. */
export function isMlx(config: ConfigFields): boolean {
  return mlxField(config) !== undefined;
}

/**
 * @param json the parsed config.json, for which {@link isMlx} holds
 * @param label names the file in errors
 * @throws `bad_config` for a kind of quantisation that is not read, saying what to use instead
 */
export function readMlx(json: unknown, label: string): MlxQuantization {
  const config = new ConfigFields(json, label, () => undefined);
  const name = mlxField(config) ?? FIELDS[0];
  const fields = config.object(name);
  if (!fields) throw config.refuse(name, "it must describe quantised weights");
  const rest = fields.names.filter((each) => !OWN.has(each));
  const modules = rest.map((path): [string, MlxCoding | null] => {
    const value = fields.raw(path);
    if (typeof value === "boolean") return [path, value ? readCoding(fields) : null];
    const own = fields.object(path);
    return [path, own ? readCoding(own, fields) : null];
  });
  return { usual: readCoding(fields), modules: new Map(modules) };
}

function mlxField(config: ConfigFields): (typeof FIELDS)[number] | undefined {
  return FIELDS.find((name) => {
    const value = config.raw(name);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
    const method = (value as { quant_method?: unknown }).quant_method;
    return Object.hasOwn(value, "group_size") && Object.hasOwn(value, "bits") && isMethodOfMlx(method, value);
  });
}

/** GPTQ and AWQ have the same two fields, and further ones. */
function isMethodOfMlx(method: unknown, fields: object): boolean {
  if (method !== undefined && method !== null) return method === "mlx" || method === "affine";
  return !["desc_act", "zero_point", "sym"].some((name) => Object.hasOwn(fields, name));
}

/** @param usual has the fields that an exception leaves out */
function readCoding(fields: ConfigFields, usual: ConfigFields = fields): MlxCoding {
  const of = (name: string): ConfigFields => (fields.has(name) ? fields : usual);
  const mode = of("mode").string("mode", "affine");
  if (mode !== "affine") throw of("mode").refuse("mode", `of MLX's modes only "affine" is read`, INSTEAD);
  const bits = of("bits").integer("bits", undefined, 1, 32);
  if (bits !== 4 && bits !== 8) {
    throw of("bits").refuse("bits", "MLX weights of 4 and 8 bits are read", INSTEAD);
  }
  const group = of("group_size").integer("group_size");
  if (group !== 32 && group !== 64 && group !== 128) {
    throw of("group_size").refuse("group_size", "groups of 32, 64 and 128 are read", INSTEAD);
  }
  return { bits, group };
}
