/** Opening the model that a command works with. */

import { SluiceError } from "../../errors.ts";
import type {
  ComposedBundle,
  ComposeSettings,
  Progress as LibraryProgress,
  LoraChoice,
  PlanName,
  Tokenizer,
} from "../../index.ts";
import { writeBundle } from "../../interventions/bundle.ts";
import type { Bundle } from "../../interventions/bundle-types.ts";
import { argument } from "../command.ts";
import type { CommandContext, LoadedModel } from "../context.ts";
import { defined } from "../defined.ts";
import { decimal, flag, name, oneOf, optional, type Parser, repeated } from "../options.ts";
import type { Counted } from "../pace.ts";
import { checkFiniteOption } from "./check-finite.ts";
import { type InterventionChoice, interventionOptions, interventionsFrom } from "./interventions.ts";

export const modelArgument = argument(
  "a folder in Hugging Face's layout, a GGUF file, the web address of either, or a model of the hub: org/name, org/name@revision, " +
    "org/name/file.gguf or org/name:Q4_K_M",
);

export const adapterOption = optional(
  "NAME",
  "auto, swiftshader, part of an adapter's name, or a Vulkan driver's JSON file; `sluice info` lists the adapters",
  name,
);

/** An adapter and what it is multiplied by: `FOLDER` or `FOLDER=0.5`. */
const loraChoice: Parser<LoraChoice> = (given, option) => {
  const [, source = given, scale] = /^(.+?)=([^=/\\]*)$/.exec(given) ?? [];
  return { source: name(source, option), ...(scale !== undefined && { scale: decimal()(scale, option) }) };
};

/** Where the model runs, and on which plan. */
export const modelOptions = {
  adapter: adapterOption,
  plan: optional(
    "PLAN",
    "default: the fastest kernels for each number of rows; reference: one summation order per matrix, so that a " +
      "token's bits depend only on its context; f16-cache: keys and values in float16, half the memory",
    oneOf("default", "reference", "f16-cache"),
  ),
  quantize: optional(
    "FORMAT",
    "q8 or q4: keep linear weights and the token embedding in 8 or 4 bits, with a scale per 32 inputs",
    oneOf("q8", "q4"),
  ),
  lora: repeated(
    "ADAPTER",
    "merge a LoRA in PEFT's format into the float weights: its folder, address or id; ADAPTER=0.5 halves what it adds",
    loraChoice,
  ),
};

/** For commands that use kernels chosen by measurements on this device. */
export const tuneOptions = {
  noTune: flag("Use the built-in choice of kernels; do not measure, and ignore earlier measurements"),
};

const { plan: _, ...withoutPlan } = modelOptions;
/** For commands that choose the plan themselves. */
export const plannedOptions = withoutPlan;
/** Where a fit runs: always on the reference plan, in which equal contexts give equal bits. */
export const fitModelOptions = { ...plannedOptions, checkFinite: checkFiniteOption };

export interface ModelChoice {
  readonly model: string;
  readonly adapter: string | undefined;
  readonly plan: PlanName | undefined;
  readonly quantize?: "q8" | "q4" | undefined;
  readonly lora?: readonly LoraChoice[] | undefined;
  /** Present in commands that use measured kernels. */
  readonly noTune?: boolean;
  /** Whether nothing may be downloaded: a model of the hub is in the cache, or is not found. */
  readonly isOffline?: boolean;
  /** Whether the command computes enough for a first measurement to pay off. */
  readonly long?: boolean;
}

/** Where a model runs, and with which interventions. */
export const runOptions = { ...interventionOptions, ...modelOptions };

const { promptLength: __, ...withoutPromptLength } = runOptions;
/** The same for commands whose tokens are all prompt. */
export const editedOptions = withoutPromptLength;

/**
 * Like `withModel`, for a model with the named bundles, or the plain model without any. Bundles are read before
 * the weights are, so that a mistyped name is reported at once.
 */
export async function withEditedModel<Result>(
  choice: ModelChoice & InterventionChoice,
  context: CommandContext,
  use: (model: LoadedModel, loadMs: number, bundles: readonly ComposedBundle[]) => Promise<Result>,
): Promise<Result> {
  const { strengths, params, positions } = interventionsFrom(choice);
  const composed = await loadBundles(choice, context);
  const digests = await digestsOf(choice, composed, context);
  return withModel(choice, context, (model, loadMs) =>
    use(
      composed.length > 0 ? model.with(composed, { strengths, params, positions, digests }) : model,
      loadMs,
      composed,
    ),
  );
}

/** The weights that a command runs on: a model's, perhaps with adapters. */
export type WeightsChoice = Pick<ModelChoice, "model" | "lora">;

/**
 * Digests to compare bundles with. None for a model at an address, which would have to be downloaded a second time, and
 * none for one with adapters: a digest is that of a model's files.
 */
export async function digestsOf(
  { model, lora = [] }: WeightsChoice,
  bundles: readonly ComposedBundle[],
  { library, progress, signal }: CommandContext,
): Promise<NonNullable<ComposeSettings["digests"]>> {
  if (bundles.length === 0 || isAddress(model) || lora.length > 0) return {};
  const onProgress = (done: number, total: number): void =>
    progress.count("comparing digests", { done, total, unit: "bytes" });
  return progress.during("comparing digests", library.digestsFor(bundles, model, { signal, onProgress }));
}

/** The digest of the weights that a fit uses; none in the same cases as above. */
export async function fittedWeights(
  { model, lora = [] }: WeightsChoice,
  { library, progress, signal }: CommandContext,
): Promise<string | undefined> {
  if (isAddress(model) || lora.length > 0) return undefined;
  const label = "computing the weights' digest";
  const onProgress = (done: number, total: number): void => progress.count(label, { done, total, unit: "bytes" });
  return progress.during(label, library.weightsDigestOf(model, { signal, onProgress }));
}

/** A fitted bundle as a file that names the weights it was fitted to. */
export function writeFitted(bundle: Bundle, weights: string | undefined): Uint8Array {
  const base = { ...bundle.manifest.base, ...defined({ weights_sha256: weights }) };
  return writeBundle({ ...bundle, manifest: { ...bundle.manifest, base } });
}

export function isAddress(model: string): boolean {
  return /^https?:/i.test(model);
}

/** The named bundles, in order. */
export async function loadBundles(
  choice: InterventionChoice,
  context: CommandContext,
): Promise<readonly ComposedBundle[]> {
  const composed: ComposedBundle[] = [];
  for (const { path, prefix } of interventionsFrom(choice).bundles) {
    const bundle = await context.library.loadBundle(path, { signal: context.signal });
    composed.push({ bundle, ...(prefix !== null && { prefix }) });
  }
  return composed;
}

/** Loads a model, calls `use` with it, and always frees it. */
export async function withModel<Result>(
  { model: source, adapter, plan, quantize, lora = [], noTune = true, long = false, isOffline = false }: ModelChoice,
  context: CommandContext,
  use: (model: LoadedModel, loadMs: number) => Promise<Result>,
): Promise<Result> {
  const { library, signal, progress } = context;
  const started = performance.now();
  let isDownloading = false;
  const tune = noTune || plan === "reference" ? undefined : long || ("remembered" as const);
  const loading = library.load(source, {
    ...defined({ adapter, plan, quantize, tune }),
    ...(lora.length > 0 && { lora }),
    ...(isOffline && { hub: { offline: true } }),
    signal,
    onProgress(step) {
      if (step.phase === "download") isDownloading = step.done < step.total;
      // What comes is uploaded as it comes: one line is enough.
      else if (step.phase === "upload" && isDownloading) return;
      // A command writes results between pieces of work; a progress line would run into these.
      if (progress.isWaiting) progress.count(...countedOf(step));
    },
    onNotice: (text) => context.note(text),
  });
  const model = await progress.during("opening the model", loading);
  try {
    return await use(model, performance.now() - started);
  } finally {
    progress.clear();
    model.dispose();
  }
}

const PHASES: Readonly<Record<LibraryProgress["phase"], readonly [label: string, unit: string]>> = {
  open: ["opening the model", "files"],
  download: ["downloading", "bytes"],
  upload: ["loading weights", "bytes"],
  compile: ["compiling", "kernels"],
  tune: ["choosing kernels", "operations"],
  run: ["running the model", "tokens"],
  decode: ["generating", "tokens at most"],
};

function countedOf({ phase, done, total, download }: LibraryProgress): [label: string, counted: Counted] {
  const [label, unit] = PHASES[phase];
  return [label, { done, total, unit, ...(download && { kept: download.kept }) }];
}

/** @throws SluiceError `bad_tokens` if the model has none, and why it could not be read */
export function tokenizerOf({ tokenizer, tokenizerError }: LoadedModel): Tokenizer {
  if (tokenizerError) throw tokenizerError;
  if (tokenizer) return tokenizer;
  throw new SluiceError("bad_tokens", "This model's folder has no tokenizer, so it cannot read text", {
    hint: "Give token ids instead of the text, or add tokenizer.json.",
  });
}
