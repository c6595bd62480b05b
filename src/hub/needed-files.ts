/** Which files of a repository a model needs: its configuration, its tokenizer, and one set of weights. */
import { SluiceError } from "../errors.ts";
import { isPlainPath } from "./reference.ts";

/** What is fetched of a repository. */
export interface NeededFiles {
  /** Files that are read as a whole before the weights. */
  readonly small: readonly string[];
  readonly weights: readonly string[];
  /** The file that names further weights, which is among the small ones; null if all are known. */
  readonly index: string | null;
  /** The GGUF file that is the model, the first if it is in parts; null for a folder with config.json. */
  readonly gguf: string | null;
  /** What the user should know of the choice. */
  readonly notice: string | null;
}

export const SINGLE_WEIGHTS = "model.safetensors";
export const WEIGHTS_INDEX = "model.safetensors.index.json";

/** Read if they are there. */
const CONFIGURATION: readonly string[] = [
  "config.json",
  "generation_config.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "chat_template.json",
];

const TOKENIZER = "tokenizer.json";

/** Needed only if there is no tokenizer.json. */
const OLDER_TOKENIZERS: readonly string[] = ["tokenizer.model", "vocab.json", "merges.txt"];

/** A PEFT adapter, which is not a model but can be merged into one. */
const ADAPTER: readonly string[] = ["adapter_config.json", "adapter_model.safetensors"];

/** Further chat templates. */
const TEMPLATES = /^additional_chat_templates\/[^/]+\.jinja$/;

/** Names to ask for, one by one, on a server that lists nothing. */
export const PROBED_FILES: readonly string[] = [
  ...CONFIGURATION,
  TOKENIZER,
  ...OLDER_TOKENIZERS,
  SINGLE_WEIGHTS,
  WEIGHTS_INDEX,
  ...ADAPTER,
];

/** The GGUF that is taken if none is named, as llama.cpp does: the usual compromise first, then the closest to it. */
const USUAL_QUANTIZATIONS: readonly string[] = ["Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0", "Q6_K", "F16", "BF16"];

/** GGUF files that hold no language model: projectors of images, statistics for quantising. */
const OTHER_GGUF = /mmproj|imatrix/i;

const PART_OF = /-(\d{5})-of-(\d{5})(\.gguf)$/i;

/**
 * @param names every file of the repository, by its path
 * @param wanted the GGUF file or quantisation that was named
 * @param where names the repository in errors
 * @throws SluiceError `not_found` if what was named is not there
 */
export function neededFiles(
  names: readonly string[],
  { file, quantization }: { readonly file: string | null; readonly quantization: string | null },
  where: string,
): NeededFiles {
  const plain = names.filter(isPlainPath);
  if (file !== null) return ggufFiles(named(file, plain, where), plain, null);
  if (quantization !== null) return ggufFiles(ofQuantization(quantization, plain, where), plain, null);
  const all = new Set(plain);
  const there = (wanted: readonly string[]): readonly string[] => wanted.filter((name) => all.has(name));
  const small = [
    ...there(CONFIGURATION),
    ...(all.has(TOKENIZER) ? [TOKENIZER] : there(OLDER_TOKENIZERS)),
    ...plain.filter((name) => TEMPLATES.test(name)),
  ];
  if (all.has(SINGLE_WEIGHTS)) return folder(small, [SINGLE_WEIGHTS], null);
  if (all.has(WEIGHTS_INDEX)) return folder([...small, WEIGHTS_INDEX], [], WEIGHTS_INDEX);
  const [adapterConfig, adapterWeights] = there(ADAPTER);
  if (adapterConfig && adapterWeights) return folder([...small, adapterConfig], [adapterWeights], null);
  const gguf = usualGguf(plain);
  if (gguf === null) return folder([...small, ...there(ADAPTER.slice(0, 1))], [], null);
  const others = ggufsOf(plain).length - 1;
  const rest = others > 0 ? ` of ${others + 1}; name another as ${where}:QUANTISATION or ${where}/FILE.gguf` : "";
  return ggufFiles(gguf, plain, `${where} has no safetensors; its ${gguf} is used${rest}`);
}

/** Whether the files that are there are a whole model. Optional ones may be missing: nobody can tell. */
export function isWholeModel(
  names: readonly string[],
  wanted: { readonly file: string | null; readonly quantization: string | null },
  shards: readonly string[] | null,
): boolean {
  const all = new Set(names);
  if (wanted.file !== null) return partsOf(wanted.file).every((part) => all.has(part));
  if (wanted.quantization === null && all.has("config.json")) {
    if (all.has(SINGLE_WEIGHTS)) return true;
    if (all.has(WEIGHTS_INDEX)) return shards?.every((shard) => all.has(shard)) ?? false;
  }
  if (wanted.quantization === null && ADAPTER.every((name) => all.has(name))) return true;
  const first = wanted.quantization === null ? usualGguf(names) : findQuantization(wanted.quantization, names);
  return first !== null && partsOf(first).every((part) => all.has(part));
}

function folder(small: readonly string[], weights: readonly string[], index: string | null): NeededFiles {
  return { small, weights, index, gguf: null, notice: null };
}

function ggufFiles(first: string, names: readonly string[], notice: string | null): NeededFiles {
  const weights = partsOf(first);
  const missing = weights.find((part) => !names.includes(part));
  if (missing !== undefined) {
    throw new SluiceError(
      "not_found",
      `${missing} is not in the repository, but ${first} says that it is one of its parts`,
      {
        hint: "Choose another file.",
      },
    );
  }
  return { small: [], weights, index: null, gguf: first, notice };
}

/** All parts of a file that is in parts. */
function partsOf(first: string): readonly string[] {
  const [suffix, , count = "0", extension = ""] = PART_OF.exec(first) ?? [];
  if (suffix === undefined) return [first];
  const stem = first.slice(0, -suffix.length);
  return Array.from(
    { length: Number(count) },
    (_, i) => `${stem}-${String(i + 1).padStart(5, "0")}-of-${count}${extension}`,
  );
}

function named(file: string, names: readonly string[], where: string): string {
  const found = names.includes(file) ? file : undefined;
  if (found === undefined) throw noGguf(`${where} has no file ${file}`, names);
  // A later part stands for the whole.
  return PART_OF.test(found) ? (partsOf(found)[0] as string) : found;
}

function ofQuantization(quantization: string, names: readonly string[], where: string): string {
  const found = findQuantization(quantization, names);
  if (found === null) throw noGguf(`${where} has no GGUF file of ${quantization}`, names);
  return found;
}

/** `name-Q4_K_M.gguf`, `name.q4_k_m.gguf`, `Q4_K_M/name-00001-of-00002.gguf`; the shortest of several. */
function findQuantization(quantization: string, names: readonly string[]): string | null {
  const escaped = quantization.replace(/[.]/g, "\\.");
  const pattern = new RegExp(`(?:^|[^A-Za-z0-9])${escaped}(?![A-Za-z0-9_])`, "i");
  return ggufsOf(names).find((name) => pattern.test(name.replace(/\.gguf$/i, ""))) ?? null;
}

function usualGguf(names: readonly string[]): string | null {
  for (const quantization of USUAL_QUANTIZATIONS) {
    const found = findQuantization(quantization, names);
    if (found !== null) return found;
  }
  return ggufsOf(names)[0] ?? null;
}

/** Models in GGUF, each by its first part, short names first. */
function ggufsOf(names: readonly string[]): readonly string[] {
  return names
    .filter((name) => /\.gguf$/i.test(name) && !OTHER_GGUF.test(name))
    .filter((name) => Number(PART_OF.exec(name)?.[1] ?? 1) === 1)
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
}

function noGguf(problem: string, names: readonly string[]): SluiceError {
  const ggufs = ggufsOf(names);
  const shown = ggufs.slice(0, 12).join(", ");
  const more = ggufs.length > 12 ? ` and ${ggufs.length - 12} more` : "";
  return new SluiceError("not_found", problem, {
    hint:
      ggufs.length > 0 ? `There are ${shown}${more}.` : "It has no GGUF files: leave that away for its safetensors.",
  });
}
