/** The functions that a page may call, each loaded when it is first called. */
import type * as Library from "../index.ts";
import { resources } from "../resources.ts";
import type { functions } from "./methods.ts";

type Name = (typeof functions)[number];

const bundles = () => import("../interventions/bundle.ts");
const digests = () => import("../model/digests.ts");
const probe = () => import("../fit/probe.ts");
const attribution = () => import("../fit/attribution.ts");
const neurons = () => import("../fit/neurons.ts");
const cache = () => import("../hub/cached-models.ts");

export const library: { readonly [Each in Name]: () => Promise<(typeof Library)[Each]> } = {
  attributeEdges: async () => (await attribution()).attributeEdges,
  benchModel: async () => (await import("../profile/bench.ts")).benchModel,
  checkBundle: async () => (await import("../interventions/check.ts")).checkBundle,
  chooseLayer: async () => (await import("../fit/layer-choice.ts")).chooseLayer,
  deviceReport: async () => (await import("../device-report/device-report.ts")).deviceReport,
  digestsFor: async () => (await digests()).digestsFor,
  evaluate: async () => (await import("../evaluate/evaluate.ts")).evaluate,
  exportBundle: async () => (await import("../interventions/export/export-bundle.ts")).exportBundle,
  fitAura: async () => (await import("../fit/aura.ts")).fitAura,
  fitDirection: async () => (await import("../fit/directions.ts")).fitDirection,
  fitEdges: async () => (await import("../fit/edges/fit-edges.ts")).fitEdges,
  fitNeurons: async () => (await neurons()).fitNeurons,
  fitProbe: async () => (await probe()).fitProbe,
  hostTimeOfToken: async () => (await import("../profile/host.ts")).hostTimeOfToken,
  importBundle: async () => (await import("../interventions/import/import-bundle.ts")).importBundle,
  inspectBundle: async () => (await import("../interventions/inspect.ts")).inspectBundle,
  listModels: async () => (await cache()).listModels,
  listSites: async () => (await import("../interventions/site-names.ts")).listSites,
  loadBundle: async () => (await import("../model/load-bundle.ts")).loadBundle,
  measureModel: async () => (await import("../model/footprint.ts")).measureModel,
  mergeBundles: async () => (await import("../interventions/merge.ts")).mergeBundles,
  openAttribution: async () => (await attribution()).openAttribution,
  profileModel: async () => (await import("../profile/profile.ts")).profileModel,
  readBundle: async () => (await bundles()).readBundle,
  readModelConfig: async () => (await import("../model/read-model-config.ts")).readModelConfig,
  readProbe: async () => (await probe()).readProbe,
  readValueVectors: async () => (await neurons()).readValueVectors,
  removeModel: async () => (await cache()).removeModel,
  reportOf: async () => (await import("../profile/report.ts")).reportOf,
  resources: async () => resources,
  sealBundle: async () => (await import("../model/seal-bundle.ts")).sealBundle,
  sweep: async () => (await import("../evaluate/sweep.ts")).sweep,
  traceOf: async () => (await import("../profile/trace.ts")).traceOf,
  tuneModel: async () => (await import("../model/tuning.ts")).tuneModel,
  weightsDigestOf: async () => (await digests()).weightsDigestOf,
  writeBundle: async () => (await bundles()).writeBundle,
  writeProbe: async () => (await probe()).writeProbe,
};
