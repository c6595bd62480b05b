/** Whether a device computes what it should: small models on it, kernel by kernel, against float64 on the CPU. */
import { allDispatches, kernelsOf } from "../compile/plan.ts";
import { throwIfAborted } from "../errors.ts";
import { attributeEdges } from "../fit/attribution.ts";
import { poolResponses } from "../fit/pool.ts";
import { storeFloat32 } from "../formats/safetensors.ts";
import type { Bundle } from "../interventions/bundle-types.ts";
import { baseOf } from "../interventions/compose.ts";
import { listDestinations, listSources, sourceIndex } from "../interventions/edges.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import { type KernelChoices, operationKey, rowBuckets, variantsFor } from "../kernels/variants.ts";
import { load } from "../model/load.ts";
import type { Model } from "../model/model.ts";
import type { LoadOptions, PlanName } from "../model/options.ts";
import type { QuantFormat } from "../model-config.ts";
import { logSumExp } from "../numbers/distributions.ts";
import { type Float64Run, type Rows, runInFloat64, type Tensors } from "./float64.ts";
import { quantizedTensors } from "./quantized-tensors.ts";
import { type SmallModel, smallGpt2, smallLlama } from "./small-models.ts";

/** One comparison of the device with the CPU. */
export interface KernelCheck {
  /** The small model, and how it ran. */
  readonly model: "gpt2" | "llama";
  /** Which family of kernels ran. */
  readonly family: KernelFamily;
  /** On which plan. */
  readonly plan: PlanName;
  /** How its weights were kept. */
  readonly weights: "f32" | QuantFormat;
  /** Which of each operation's kernels, as the tuner may choose them; null: the engine's own choice. */
  readonly variant: number | null;
  /** What was compared. */
  readonly part: "sites" | "decode" | "sample" | "loss" | "stages" | "pool" | "gradient";
  /** Kernels that took part. */
  readonly kernels: readonly string[];
  /** The greatest difference, relative to the greatest value of its site. */
  readonly error: number;
  /** What is allowed. */
  readonly tolerance: number;
  /** Where the difference was greatest. */
  readonly at: string;
  /** Whether the error is within the tolerance. */
  readonly passed: boolean;
  /** Why it could not be compared; absent if it could. */
  readonly failure?: string;
}

export interface CheckOptions {
  /** `quick`: the engine's own choice of kernels alone. Default `all`. */
  readonly extent?: "quick" | "all";
  readonly signal?: AbortSignal | undefined;
  onProgress?(done: number, total: number): void;
}

/** Prompt of more rows than the largest tile, and new tokens. */
const PROMPT = 70;
const NEW_TOKENS = 6;
/** Sums of at most a hundred float32 products, in any order; float16's rounding in a cache. */
const TOLERANCES: Readonly<Record<PlanName, number>> = { default: 5e-5, reference: 5e-5, "f16-cache": 4e-3 };

export interface Setting {
  readonly family: KernelFamily;
  readonly plan: PlanName;
  readonly weights: "f32" | QuantFormat;
}

/**
 * Compares every site of prompts, decoded tokens, losses, stages, pooled values and gradients of small models with plain
 * loops in float64, with both families of kernels, every plan, float and quantised weights, and every kernel that
 * tuning could choose.
 */
export async function checkKernels(device: GPUDevice, options: CheckOptions = {}): Promise<readonly KernelCheck[]> {
  const { extent = "all", signal, onProgress } = options;
  const checks: KernelCheck[] = [];
  const settings = (["register", "tiled"] as const).flatMap((family): Setting[] => [
    { family, plan: "default", weights: "f32" },
    { family, plan: "reference", weights: "f32" },
    { family, plan: "f16-cache", weights: "f32" },
    { family, plan: "default", weights: "q8" },
    { family, plan: "default", weights: "q4" },
  ]);
  const models = [smallGpt2(), smallLlama()];
  let done = 0;
  for (const small of models) {
    for (const setting of settings) {
      throwIfAborted(signal);
      checks.push(...(await checkSetting(device, small, setting, extent, signal)));
      onProgress?.(++done, models.length * settings.length);
    }
  }
  return checks;
}

/** The checks of one small model under one setting. */
export async function checkSetting(
  device: GPUDevice,
  small: SmallModel,
  setting: Setting,
  extent: "quick" | "all",
  signal?: AbortSignal,
): Promise<readonly KernelCheck[]> {
  const { family, plan, weights } = setting;
  const options: LoadOptions = {
    device,
    family,
    plan,
    ...(weights !== "f32" && { quantize: weights }),
    ...(signal && { signal }),
  };
  const model = await load(small.files, options);
  try {
    const checker = new Checker(model, small, setting);
    await checker.forward(null);
    if (plan === "default") {
      const most = extent === "all" ? mostVariants(model) : 0;
      for (let variant = 0; variant < most; variant++) {
        throwIfAborted(signal);
        model.internals.tuning.choices = choicesOf(model, variant);
        await checker.forward(variant);
      }
      model.internals.tuning.choices = {};
      await checker.rest();
    }
    return checker.checks;
  } finally {
    model.dispose();
  }
}

/** The most kernels that any of the model's operations has. */
function mostVariants(model: Model): number {
  const counts = allDispatches(model.plan({ context: PROMPT })).map(
    ({ operation }) => operation?.variants().length ?? 0,
  );
  return Math.max(0, ...counts);
}

/** Kernel number `variant` of each operation and number of rows, counted round. */
function choicesOf(model: Model, variant: number): KernelChoices {
  const choices: Record<string, Record<string, string>> = {};
  for (const { operation } of allDispatches(model.plan({ context: PROMPT }))) {
    if (!operation) continue;
    const own: Record<string, string> = {};
    for (const bucket of rowBuckets) {
      const all = variantsFor(operation, bucket);
      const chosen = all[variant % Math.max(1, all.length)];
      if (chosen) own[bucket] = chosen.name;
    }
    choices[operationKey(operation)] = own;
  }
  return choices;
}

/** The greatest difference so far, and where. */
interface Worst {
  error: number;
  at: string;
}

class Checker {
  readonly checks: KernelCheck[] = [];
  readonly #model: Model;
  readonly #setting: Setting;
  readonly #small: SmallModel;
  readonly #tensors: Tensors;
  readonly #tokens: readonly number[];
  readonly #expected: Float64Run;

  constructor(model: Model, small: SmallModel, setting: Setting) {
    this.#model = model;
    this.#small = small;
    this.#setting = setting;
    const { graph } = model.internals;
    const { weights } = setting;
    this.#tensors = weights === "f32" ? small.tensors : quantizedTensors(graph, small.tensors, weights);
    this.#tokens = Array.from({ length: PROMPT }, (_, i) => (i * 37 + 11) % model.config.vocab_size);
    this.#expected = runInFloat64(graph, this.#tensors, this.#tokens);
  }

  /** Every site and the logits of a prompt, tokens decoded after it, and draws. */
  async forward(variant: number | null): Promise<void> {
    const names = [...this.#expected.sites.keys()];
    const context = PROMPT + NEW_TOKENS;
    await this.#check("sites", variant, this.#kernels(PROMPT, context), async (worst) => {
      const captured = await this.#model.capture(this.#tokens, names);
      for (const [site, { data }] of captured) compare(worst, site, data, this.#expected.sites.get(site) as Rows);
      compare(worst, "logits", (await this.#model.logits(this.#tokens)).data, this.#expected.logits);
    });
    const one = this.#tokens.slice(0, 3);
    await this.#check("decode", variant, this.#kernels(1, context, "greedy"), async (worst) => {
      for (const prompt of [one, this.#tokens]) await this.#continued(worst, prompt, {});
    });
    // Drawn among the likeliest one: a draw that must come out like the other.
    await this.#check("sample", variant, this.#kernels(1, context, "sample"), (worst) =>
      this.#continued(worst, one, { temperature: 1, topK: 1, seed: 1 }),
    );
  }

  /** What is the same with other variants: losses, interventions, pooling, gradients. */
  async rest(): Promise<void> {
    const { graph } = this.#model.internals;
    const lossOf = ({ logits }: Float64Run): number => {
      const losses = this.#tokens.slice(1).map((token, t) => {
        const row = logits[t] as Float64Array;
        return logSumExp(row) - (row[token] as number);
      });
      return losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    };
    await this.#check("loss", null, this.#kernels(PROMPT, PROMPT, "loss"), async (worst) => {
      const { nll } = await this.#model.perplexity([this.#tokens]);
      note(worst, "nll", nll, lossOf(this.#expected), 1);
    });
    const { bundle, edit } = this.#edits();
    const edited = this.#model.with([bundle]);
    const names = allDispatches(edited.plan({ context: PROMPT })).flatMap((each) => kernelsOf(each, PROMPT));
    await this.#check(
      "stages",
      null,
      names.map(({ name }) => name),
      async (worst) => {
        const expected = runInFloat64(graph, this.#tensors, this.#tokens, edit);
        compare(worst, "logits", (await edited.logits(this.#tokens)).data, expected.logits);
      },
    );
    await this.#check("pool", null, ["pool"], async (worst) => {
      const site = "resid_post.1";
      const rows = this.#expected.sites.get(site) as Rows;
      await poolResponses(this.#model, [this.#tokens], [site], "max", (_, responses) => {
        const most = (rows[0] as Float64Array).map((_, i) => Math.max(...rows.map((row) => row[i] as number)));
        compare(worst, site, responses.get(site) as Float32Array, [most]);
      });
    });
    if (this.#setting.weights !== "f32") return;
    await this.#check("gradient", null, ["backward"], async (worst) => {
      const { gradient, loss } = await attributeEdges(this.#model, this.#tokens);
      note(worst, "loss", loss, lossOf(this.#expected), 1);
      const { config } = this.#model;
      const grouped = config.num_attention_heads !== config.num_key_value_heads;
      const count = listDestinations(config, grouped ? "qkv_groups" : "heads").length;
      const sources = listSources(config).length;
      const source = sourceIndex(config, { kind: "mlp", layer: 0 });
      let sum = 0;
      for (let i = 0; i < count; i++) sum += gradient.data[i * sources + source] as number;
      // All edges of a source together scale what it wrote.
      const scaled = (factor: number): number =>
        lossOf(
          runInFloat64(graph, this.#tensors, this.#tokens, (site, rows) =>
            site === "mlp_out.0" ? rows.map((row) => row.map((x) => factor * x)) : rows,
          ),
        );
      const h = 1e-4;
      note(worst, "gradient by blocks.0.mlp", sum, (scaled(1 + h) - scaled(1 - h)) / (2 * h), 0.1);
    });
  }

  /** Each new token must be the likeliest on the CPU, as far as rounding can tell. */
  async #continued(
    worst: Worst,
    prompt: readonly number[],
    sampling: { readonly temperature?: number; readonly topK?: number; readonly seed?: number },
  ): Promise<void> {
    const options = { maxNewTokens: NEW_TOKENS, stopTokens: [], ...sampling };
    const { tokens } = await this.#model.generate(prompt, options).result();
    const { logits } = runInFloat64(this.#model.internals.graph, this.#tensors, [...prompt, ...tokens]);
    for (const [i, token] of tokens.entries()) {
      const row = logits[prompt.length - 1 + i] as Float64Array;
      note(worst, `new token ${i}`, row[token] as number, Math.max(...row), scaleOf([row]));
    }
  }

  /** Moves the stream after each block, and scales neurons. */
  #edits(): { readonly bundle: Bundle; readonly edit: (site: string, rows: Rows) => Rows } {
    const { config } = this.#model;
    const direction = Float32Array.from({ length: config.hidden_size }, (_, i) => Math.fround(Math.sin(i * 1.7)));
    const scale = Float32Array.from({ length: config.intermediate_size }, (_, i) => (i % 3 === 0 ? 0.25 : 1));
    const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => layer);
    const tensors = new Map(
      layers.flatMap((layer) => [
        [`push.${layer}.direction`, storeFloat32(direction, [direction.length])] as const,
        [`damp.${layer}.scale`, storeFloat32(scale, [scale.length])] as const,
      ]),
    );
    const bundle: Bundle = {
      file: "the check's bundle",
      manifest: {
        name: "check",
        base: baseOf(config),
        stages: [
          { id: "push", kind: "affine", method: "addition", site: "resid_post", layers: "all", alpha: 0.5 },
          { id: "damp", kind: "neuron_scale", site: "mlp_post", layers: "all" },
        ],
      },
      tensors,
      metadata: new Map(),
    };
    const edit = (site: string, rows: Rows): Rows => {
      if (site.startsWith("resid_post."))
        return rows.map((row) => row.map((x, i) => x + 0.5 * (direction[i] as number)));
      if (site.startsWith("mlp_post.")) return rows.map((row) => row.map((x, i) => x * (scale[i] as number)));
      return rows;
    };
    return { bundle, edit };
  }

  /** Names of the kernels that steps of that many rows use. */
  #kernels(rows: number, context: number, tail?: "greedy" | "sample" | "loss"): readonly string[] {
    const plan = this.#model.plan({ context });
    const dispatches = [...plan.body, ...plan.finalNorm, ...plan.head, ...(tail ? plan.tails[tail] : [])];
    return dispatches.flatMap((dispatch) => kernelsOf(dispatch, rows).map(({ name }) => name));
  }

  async #check(
    part: KernelCheck["part"],
    variant: number | null,
    kernels: readonly string[],
    measure: (worst: Worst) => Promise<void>,
  ): Promise<void> {
    const worst: Worst = { error: 0, at: "" };
    const tolerance = TOLERANCES[this.#setting.plan];
    let failure: string | undefined;
    try {
      await measure(worst);
    } catch (error) {
      if (isAbort(error)) throw error;
      failure = error instanceof Error ? error.message : String(error);
    }
    this.checks.push({
      model: this.#small.name,
      ...this.#setting,
      variant,
      part,
      kernels: [...new Set(kernels)],
      ...worst,
      tolerance,
      passed: failure === undefined && worst.error <= tolerance,
      ...(failure !== undefined && { failure }),
    });
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "aborted" || error.code === "device_lost");
}

function scaleOf(rows: Rows): number {
  return rows.reduce((most, row) => row.reduce((own, x) => Math.max(own, Math.abs(x)), most), 0);
}

/** Compares values, row after row, relative to the greatest of them. */
function compare(worst: Worst, what: string, actual: ArrayLike<number>, expected: Rows): void {
  const scale = scaleOf(expected);
  let at = 0;
  for (const row of expected) for (const value of row) note(worst, what, actual[at++] as number, value, scale);
}

function note(worst: Worst, at: string, actual: number, expected: number, scale: number): void {
  const error = Math.abs(actual - expected) / Math.max(scale, Number.MIN_VALUE);
  // NaN is as wrong as can be.
  if (error <= worst.error) return;
  worst.error = Number.isNaN(error) ? Infinity : error;
  worst.at = at;
}
