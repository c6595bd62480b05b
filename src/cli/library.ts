/** The real library behind the commands, imported when a command first needs it. */
import type { Model } from "../index.ts";
import type { Library, LoadedModel } from "./context.ts";

export const library: Library = {
  async load(source, options) {
    const { load } = await import("../model/load.ts");
    return load(source, options);
  },
  async loadBundle(source, options) {
    const { loadBundle } = await import("../model/load-bundle.ts");
    return loadBundle(source, options);
  },
  async digestsFor(bundles, source, options) {
    const { digestsFor } = await import("../model/digests.ts");
    return digestsFor(bundles, source, options);
  },
  async weightsDigestOf(source, options) {
    const { weightsDigestOf } = await import("../model/digests.ts");
    return weightsDigestOf(source, options);
  },
  async bench(model, edited, options) {
    const { benchModel } = await import("../profile/bench.ts");
    return benchModel(own(model), edited && own(edited), options);
  },
  async deviceReport(model, options) {
    const { deviceReport } = await import("../device-report/device-report.ts");
    return deviceReport(own(model), options);
  },
  async tune(model, options) {
    const { tuneModel } = await import("../model/tuning.ts");
    return tuneModel(own(model), options);
  },
  async attributeEdges(model, tokens, options) {
    const { attributeEdges } = await import("../fit/attribution.ts");
    return attributeEdges(own(model), tokens, options);
  },
  async fitEdges(model, options) {
    const { fitEdges } = await import("../fit/edges/fit-edges.ts");
    return fitEdges(own(model), options);
  },
  async fitAura(model, options) {
    const { fitAura } = await import("../fit/aura.ts");
    return fitAura(own(model), options);
  },
  async fitDirection(model, method, options) {
    const { fitDirection } = await import("../fit/directions.ts");
    return fitDirection(own(model), method, options);
  },
  async chooseLayer(model, method, options) {
    const { chooseLayer } = await import("../fit/layer-choice.ts");
    return chooseLayer(own(model), method, options);
  },
  async fitProbe(model, options) {
    const { fitProbe } = await import("../fit/probe.ts");
    return fitProbe(own(model), options);
  },
  async fitNeurons(model, source, options) {
    const { fitNeurons } = await import("../fit/neurons.ts");
    return fitNeurons(own(model), source, options);
  },
  async sealBundle(model, bundle, options) {
    const { sealBundle } = await import("../model/seal-bundle.ts");
    return sealBundle(own(model), bundle, options);
  },
  async evaluate(model, options) {
    const { evaluate } = await import("../evaluate/evaluate.ts");
    return evaluate(own(model), options);
  },
  async sweep(model, bundles, options) {
    const { sweep } = await import("../evaluate/sweep.ts");
    return sweep(own(model), bundles, options);
  },
  async fitUnigramClassifier(texts, options) {
    const { fitUnigramClassifier } = await import("../evaluate/unigram-classifier.ts");
    return fitUnigramClassifier(texts, options);
  },
  async profile(model, prompt, options) {
    const whole = own(model);
    const { profileModel } = await import("../profile/profile.ts");
    const { spreadTokens } = await import("../profile/bench.ts");
    return profileModel(whole, prompt ?? spreadTokens(64, whole.config.vocab_size), options);
  },
  async serve(model, options) {
    const whole = own(model);
    const { serveModel } = await import("../serve/node-serve.ts");
    return serveModel(whole, options);
  },
  async openQueue(options) {
    const { openQueue } = await import("../queue/node-collector.ts");
    return openQueue(options);
  },
  async openWorker({ open, ...options }) {
    const { openWorker } = await import("../queue/node-worker.ts");
    return openWorker({ ...options, open: async (about) => own(await open(about)) });
  },
  async info(options) {
    const { formatInfo, gatherInfo } = await import("../gpu/node-info.ts");
    const data = await gatherInfo(options);
    return { data, text: formatInfo(data) };
  },
  async measureModel(source, options) {
    const { measureModel } = await import("../model/footprint.ts");
    return measureModel(source, options);
  },
};

/** Every model that commands hold was loaded above. */
function own(model: LoadedModel): Model {
  return model as Model;
}
