/** The doors of a running model: the rule for every argument of every public method. */

import { isKind } from "../arguments/buffers.ts";
import { entry, optional, options } from "../arguments/entry.ts";
import { fields, needed } from "../arguments/fields.ts";
import { isList, listOf, prompt, tableOf, tokens } from "../arguments/lists.ts";
import { either, type Rule, test } from "../arguments/rule.ts";
import { bytes, callback, finite, flag, float32, oneOf, path, signal, text, thing, whole } from "../arguments/rules.ts";
import type { EnvelopeOptions } from "../compile/envelope.ts";
import type { ModelSource } from "../formats/open-source.ts";
import type { HubChoice } from "../hub/open-options.ts";
import { bundle, bundles, composeSettings, maskedEdges, positions, stageValues } from "../interventions/arguments.ts";
import { neuronSites } from "../interventions/stage.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import { MOST_RANKS } from "../kernels/norm/edited.ts";
import type { QuantFormat } from "../model-config.ts";
import type { StageChange } from "../runtime/live-stages.ts";
import type { ProgressListener } from "../runtime/progress.ts";
import {
  batchGenerateOptions,
  compareOptions,
  generateBatchOptions,
  generateOptions,
  MOST_SEQUENCES,
  sessionBatchOptions,
  sessionGenerateOptions,
} from "./generate-arguments.ts";
import type {
  BatchOptions,
  CompareTokensOptions,
  DigestOptions,
  ExplainOptions,
  ExplainPart,
  LensOptions,
  LoadOptions,
  LogitsOptions,
  LoraChoice,
  PerplexityOptions,
  PlanName,
  RunOptions,
  SessionOptions,
} from "./options.ts";

/** The number of tokens is not known here; the call checks the range. */
const promptLength = test<number>("a whole number of at least 1", (value) => typeof value === "number");
const onProgress = callback<(done: number, total: number) => void>();
const documents = listOf(tokens);
const stageChange = fields<StageChange>("new values { strength, alpha, positions, edges }")({
  strength: float32,
  alpha: float32,
  positions,
  edges: maskedEdges,
});

const sessionFields = {
  sequences: whole({ least: 1, most: MOST_SEQUENCES }),
  context: whole({ least: 1 }),
  slots: whole({ least: 1 }),
  live: flag,
  signal,
};
const sessionOptions = fields<Omit<SessionOptions, "captures" | "pooling">>()(sessionFields);
const planOptions = fields<SessionOptions & ExplainOptions>()({
  ...sessionFields,
  captures: listOf(text),
  pooling: oneOf(["max", "sum"]),
  parts: listOf(oneOf<ExplainPart>(["graph", "plan", "buffers", "kernels"]), { least: 1 }),
  kernel: text,
});

/** A folder, an address, the name of a hub's model, or files that a user picked. */
export const modelSource: Rule<ModelSource> = {
  ...test<ModelSource>("a folder's path, an http(s) address, a hub model's name or a list of files", (value) =>
    path.suits(value) || isKind(value, "URL") || isFileList(value)),
  read(value, place) {
    if (isKind(value, "URL")) return new URL((value as URL).href);
    if (path.suits(value) || isFileList(value)) return value as ModelSource;
    throw place.refuse(value, this.takes);
  },
};

function isFileList(value: unknown): boolean {
  if (!isList(value) || value.length === 0) return false;
  for (let i = 0; i < value.length; i++) {
    const file = value[i];
    if (!(file instanceof Blob && "name" in file)) return false;
  }
  return true;
}

/** How a hub is reached. */
export const hubChoice = fields<HubChoice>()({ endpoint: text, token: text, offline: flag });

/** Stages that one request to a batch may have. */
const MOST_STAGES = 1024;

/** Methods of a model. */
export const modelDoors = {
  with: entry("with", ["bundles", bundles], options(composeSettings, "settings")),
  encode: entry("encode", ["prompt", prompt]),
  generate: entry("generate", ["prompt", prompt], options(generateOptions)),
  generateBatch: entry(
    "generateBatch",
    ["prompts", listOf(prompt, { most: MOST_SEQUENCES })],
    options(generateBatchOptions),
  ),
  session: entry("session", options(sessionOptions)),
  batch: entry(
    "batch",
    options(
      fields<BatchOptions>()({
        sequences: sessionFields.sequences,
        context: sessionFields.context,
        prefillRows: whole({ least: 1 }),
        maxQueue: whole({ least: 0 }),
        envelope: fields<EnvelopeOptions>("what bundles may have { affineRank, neuronScales, edges, stages }")({
          affineRank: whole({ least: 1, most: MOST_RANKS }),
          neuronScales: either(flag, listOf(oneOf(neuronSites))),
          edges: either(flag, listOf(text)),
          stages: whole({ least: 1, most: MOST_STAGES }),
        }),
        signal,
      }),
    ),
  ),
  logits: entry("logits", ["tokens", tokens], options(fields<LogitsOptions>()({ last: flag, promptLength, signal }))),
  capture: entry(
    "capture",
    ["tokens", tokens],
    ["sites", listOf(text, { least: 1 })],
    options(fields<RunOptions>()({ promptLength, signal })),
  ),
  checkFinite: entry("checkFinite", ["prompt", prompt], options(fields<RunOptions>()({ promptLength, signal }))),
  perplexity: entry(
    "perplexity",
    ["documents", documents],
    options(
      fields<PerplexityOptions>()({
        stride: test<number>("a whole number of at least 1", (value) => typeof value === "number"),
        promptLength,
        signal,
        onProgress,
      }),
    ),
  ),
  compare: entry("compare", ["prompt", prompt], options(compareOptions)),
  compareTokens: entry(
    "compareTokens",
    ["prompt", prompt],
    options(
      fields<CompareTokensOptions>()({ top: whole({ least: 0 }), changes: tableOf(stageChange), promptLength, signal }),
    ),
  ),
  lens: entry(
    "lens",
    ["prompt", prompt],
    options(
      fields<LensOptions>()({
        layers: listOf(whole({ least: 0 }), { least: 1 }),
        top: whole({ least: 0 }),
        asked: tokens,
        promptLength,
        signal,
      }),
    ),
  ),
  explain: entry("explain", options(planOptions)),
};

const aborting = fields<{ readonly signal?: AbortSignal }>()({ signal });

const device = thing<GPUDevice>("a GPUDevice", { createBuffer: "function", queue: "object", limits: "object" });

const loraChoice = fields<LoraChoice>("an adapter { source, scale }")({ source: needed(modelSource), scale: finite() });

export const loadDoor = entry(
  "load",
  ["source", modelSource],
  options(
    fields<LoadOptions>()({
      adapter: text,
      device,
      limits: oneOf(["default", "adapter"]),
      plan: oneOf<PlanName>(["default", "reference", "f16-cache"]),
      family: oneOf<KernelFamily>(["register", "tiled"]),
      tune: either(flag, oneOf(["remembered"])),
      quantize: oneOf<QuantFormat>(["q8", "q4"]),
      hub: hubChoice,
      lora: either(path, listOf(either(modelSource, loraChoice))),
      signal,
      onProgress: callback<ProgressListener>(),
      onNotice: callback<(message: string) => void>(),
    }),
  ),
);

export const loadBundleDoor = entry(
  "loadBundle",
  ["source", either(bytes, test<string | URL | Blob>("a path, an address, a file or its bytes", isBundlePlace))],
  options(aborting),
);

function isBundlePlace(value: unknown): boolean {
  return value instanceof URL || value instanceof Blob || path.suits(value);
}

const digestOptions = fields<DigestOptions>()({ hub: hubChoice, signal, onProgress });
export const digestsDoor = entry("digestsFor", ["bundles", bundles], ["source", modelSource], options(digestOptions));
export const weightsDigestDoor = entry("weightsDigestOf", ["source", modelSource], options(digestOptions));

const bundleName = test<string>("a text of 1 to 256 characters", (value) => {
  return typeof value === "string" && value !== "" && value.length <= 256;
});

/** Methods of a running batch. */
export const batchDoors = {
  addBundle: entry("batch.addBundle", ["name", bundleName], ["bundle", bundle]),
  removeBundle: entry("batch.removeBundle", ["name", text]),
  generate: entry("batch.generate", ["prompt", prompt], options(batchGenerateOptions)),
};

/** Methods of a session. */
export const sessionDoors = {
  tokens: entry("session.tokens", ["sequence", optional(whole({ least: 0 }))]),
  set: entry(
    "session.set",
    ["id", text],
    ["change", stageChange],
    options(
      fields<{ readonly sequence?: number; readonly cache?: "recompute" | "continue" }>()({
        sequence: whole({ least: 0 }),
        cache: oneOf(["recompute", "continue"]),
      }),
    ),
  ),
  setTensors: entry(
    "session.setTensors",
    ["id", text],
    ["layer", whole({ least: 0 })],
    ["tensors", stageValues],
    options(fields<{ readonly cache?: "recompute" | "continue" }>()({ cache: oneOf(["recompute", "continue"]) })),
  ),
  stage: entry("session.stage", ["id", text], ["sequence", optional(whole({ least: 0 }))]),
  generate: entry("session.generate", ["prompt", prompt], options(sessionGenerateOptions)),
  generateBatch: entry(
    "session.generateBatch",
    ["prompts", listOf(prompt, { most: MOST_SEQUENCES })],
    options(sessionBatchOptions),
  ),
};
