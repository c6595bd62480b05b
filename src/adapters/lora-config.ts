/** PEFT's adapter_config.json of a LoRA: ranks and scales by module. Source: peft 0.21, LoraConfig and get_pattern_key. */
import { ConfigFields } from "../architectures/config-fields.ts";
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import { compilePattern, Effort } from "../tokenizer/patterns/pattern.ts";

/** What is the same for all modules of an adapter, and what differs. */
export interface LoraConfig {
  /** The rank that a module's matrices must have. */
  rankOf(module: string): number;
  /** What B·A is multiplied by: alpha / rank, with rslora alpha / √rank. */
  scaleOf(module: string): number;
}

/** PEFT's own initial values, which leave the base weights as they are. */
const PLAIN_STARTS: readonly unknown[] = [undefined, true, false, "gaussian", "eva", "orthogonal"];

/** Fields that change what an adapter computes: if one is set, a sum of products is not the model. */
const OTHER_METHODS: Readonly<Record<string, string>> = {
  use_dora: "DoRA",
  use_qalora: "QALoRA",
  use_bdlora: "block-diagonal LoRA",
  alora_invocation_tokens: "an activated LoRA",
  arrow_config: "an Arrow router",
  layer_replication: "replicated layers",
  trainable_token_indices: "trained single tokens",
  kasa_config: "KaSA",
  monteclora_config: "MonteCLoRA",
  target_parameters: "adapted parameters that are not modules",
};

const MERGE_HINT =
  "Merge it with PEFT: PeftModel.from_pretrained(BASE, ADAPTER).merge_and_unload().save_pretrained(NEW_FOLDER).";

/**
 * @param json the parsed adapter_config.json
 * @param label names the file in errors
 * @throws SluiceError `bad_config` for a damaged field, and by name for what is not a plain LoRA
 */
export function readLoraConfig(json: unknown, label: string): LoraConfig {
  const fields = new ConfigFields(json, label, () => undefined);
  const type = fields.string("peft_type");
  if (type !== "LORA") throw fields.refuse("peft_type", "only LORA adapters are merged", MERGE_HINT);
  for (const [name, what] of Object.entries(OTHER_METHODS)) {
    const value = fields.raw(name);
    const isUnset = value === undefined || value === false || (Array.isArray(value) && value.length === 0);
    if (!isUnset) throw fields.refuse(name, `${what} cannot be merged here`, MERGE_HINT);
  }
  const start = fields.raw("init_lora_weights");
  if (!PLAIN_STARTS.includes(start)) {
    throw fields.refuse(
      "init_lora_weights",
      "this start changes the base weights, which the adapter then needs",
      MERGE_HINT,
    );
  }
  const rank = fields.integer("r", 8);
  const alpha = fields.positive("lora_alpha", 8);
  const ranks = patternsOf(fields, "rank_pattern");
  const alphas = patternsOf(fields, "alpha_pattern");
  const isRankStabilised = fields.boolean("use_rslora", false);
  const rankOf = (module: string): number => valueFor(module, ranks) ?? rank;
  return {
    rankOf,
    scaleOf(module) {
      const own = rankOf(module);
      return (valueFor(module, alphas) ?? alpha) / (isRankStabilised ? Math.sqrt(own) : own);
    },
  };
}

/** Of the keys that are more than a path: each is compiled, which takes 20 kB and a fifth of a millisecond. */
const MOST_PATTERNS = 500;

interface ModulePattern {
  fits(module: string): boolean;
  readonly value: number;
}

/** The entries of `rank_pattern` or `alpha_pattern`: a key is a pattern for the end of a module's path. */
function patternsOf(fields: ConfigFields, name: string): readonly ModulePattern[] {
  const given = fields.raw(name) ?? {};
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw fields.refuse(name, "it must be an object of numbers by module");
  }
  const entries = Object.entries(given);
  const programs = entries.filter(([key]) => !isPath(key)).length;
  if (programs > MOST_PATTERNS) {
    throw fields.refuse(name, `it has ${programs} patterns; at most ${MOST_PATTERNS} may be more than a module's path`);
  }
  return entries.map(([key, value]) => {
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
      throw fields.refuse(name, `the number for ${show(key)} must be above 0`);
    }
    return { value, fits: fitter(fields, name, key) };
  });
}

function fitter(fields: ConfigFields, name: string, key: string): (module: string) => boolean {
  const read = <Result>(work: () => Result): Result => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      throw fields.refuse(name, `${show(key)} cannot be used as a pattern: ${error.message}`);
    }
  };
  // As Python's `re.match(rf"(.*\.)?({key})$", module)`. Most keys are paths, and adapters have hundreds of them.
  if (isPath(key)) {
    const path = key.replaceAll("\\.", "/");
    return (module) => endsInPath(module, path);
  }
  const pattern = read(() => compilePattern(`\\A(?:.*\\.)?(?:${key})\\z`));
  return (module) => read(() => pattern.matches(module, new Effort(module.length)).length > 0);
}

/** Whether a key is a path as it stands, or with its full stops escaped. */
function isPath(key: string): boolean {
  return /^(?:[\w.]|\\\.)+$/.test(key);
}

/** Whether a module ends in a path, at the beginning of one of its names; there "/" is a full stop, and "." any character. */
function endsInPath(module: string, path: string): boolean {
  const begin = module.length - path.length;
  if (begin < 0 || (begin > 0 && module[begin - 1] !== ".")) return false;
  for (let i = 0; i < path.length; i++) {
    const there = module[begin + i];
    if (path[i] !== "." && there !== (path[i] === "/" ? "." : path[i])) return false;
  }
  return true;
}

function valueFor(module: string, patterns: readonly ModulePattern[]): number | undefined {
  return patterns.find(({ fits }) => fits(module))?.value;
}
