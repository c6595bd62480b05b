/** The names that can be called across threads. Client and host make their tables of these. */
import type { EdgeAttribution } from "../attribution/attribute-edges.ts";
import type * as Library from "../index.ts";
import type { Batch } from "../model/batch.ts";
import type { Model } from "../model/model.ts";
import type { Session } from "../model/session.ts";
import type { RemoteKind } from "./protocol.ts";

/** Functions of the library, besides `load`. */
export const functions = [
  "attributeEdges",
  "benchModel",
  "checkBundle",
  "chooseLayer",
  "deviceReport",
  "digestsFor",
  "evaluate",
  "exportBundle",
  "fitAura",
  "fitDirection",
  "fitEdges",
  "fitNeurons",
  "fitProbe",
  "hostTimeOfToken",
  "importBundle",
  "inspectBundle",
  "listModels",
  "listSites",
  "loadBundle",
  "measureModel",
  "mergeBundles",
  "openAttribution",
  "profileModel",
  "readBundle",
  "readModelConfig",
  "readProbe",
  "readValueVectors",
  "removeModel",
  "reportOf",
  "resources",
  "sealBundle",
  "sweep",
  "traceOf",
  "tuneModel",
  "weightsDigestOf",
  "writeBundle",
  "writeProbe",
] as const satisfies readonly (keyof typeof Library)[];

/** Methods of a model; `generate` is a stream of its own. */
export const modelMethods = [
  "batch",
  "capture",
  "checkFinite",
  "compare",
  "compareTokens",
  "encode",
  "explain",
  "generateBatch",
  "lens",
  "logits",
  "perplexity",
  "session",
  "with",
] as const satisfies readonly (keyof Model)[];

export const sessionMethods = [
  "generateBatch",
  "set",
  "setTensors",
  "stage",
  "tokens",
] as const satisfies readonly (keyof Session)[];

export const batchMethods = ["addBundle", "removeBundle"] as const satisfies readonly (keyof Batch)[];

/** Of a batch, what changes while it runs: a question each time. */
export const batchFacts = ["bundles", "stats"] as const satisfies readonly (keyof Batch)[];

export const attributionMethods = ["losses", "means", "run"] as const satisfies readonly (keyof EdgeAttribution)[];

/** Of a model's tokenizer; called on the model. */
export const tokenizerMethods = ["applyChatTemplate", "decode", "encode", "tokenAfterAnswer"] as const;

/** What may be called on an object of each kind. */
export const methodsOf: Readonly<Record<RemoteKind, readonly string[]>> = {
  model: modelMethods,
  session: sessionMethods,
  batch: batchMethods,
  attribution: attributionMethods,
};
