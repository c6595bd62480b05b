/** The real library behind the commands, imported when one first needs it. */
import type { Model } from "../index.ts";
import type { Library, LoadedModel } from "./context.ts";

export const library: Library = {
  async load(source, options) {
    const { load } = await import("../index.ts");
    return load(source, options);
  },
  async loadBundle(source, options) {
    const { loadBundle } = await import("../index.ts");
    return loadBundle(source, options);
  },
  async digestsFor(bundles, source, options) {
    const { digestsFor } = await import("../index.ts");
    return digestsFor(bundles, source, options);
  },
  async weightsDigestOf(source, options) {
    const { weightsDigestOf } = await import("../index.ts");
    return weightsDigestOf(source, options);
  },
  async bench(model, edited, options) {
    const { benchModel } = await import("../index.ts");
    return benchModel(own(model), edited && own(edited), options);
  },
  async fitAura(model, options) {
    const { fitAura } = await import("../index.ts");
    return fitAura(own(model), options);
  },
  async fitDirection(model, method, options) {
    const { fitDirection } = await import("../index.ts");
    return fitDirection(own(model), method, options);
  },
  async chooseLayer(model, method, options) {
    const { chooseLayer } = await import("../index.ts");
    return chooseLayer(own(model), method, options);
  },
  async fitProbe(model, options) {
    const { fitProbe } = await import("../index.ts");
    return fitProbe(own(model), options);
  },
  async fitNeurons(model, source, options) {
    const { fitNeurons } = await import("../index.ts");
    return fitNeurons(own(model), source, options);
  },
  async evaluate(model, options) {
    const { evaluate } = await import("../index.ts");
    return evaluate(own(model), options);
  },
  async fitUnigramClassifier(texts, options) {
    const { fitUnigramClassifier } = await import("../index.ts");
    return fitUnigramClassifier(texts, options);
  },
  async profile(model, prompt, options) {
    const whole = own(model);
    const { spreadTokens } = await import("../profile/bench.ts");
    return whole.profile(prompt ?? spreadTokens(64, whole.config.vocab_size), options);
  },
  async info(options) {
    const { formatInfo, gatherInfo } = await import("../gpu/node-info.ts");
    const data = await gatherInfo(options);
    return { data, text: formatInfo(data) };
  },
};

/** Every model that the commands hold was loaded above. */
function own(model: LoadedModel): Model {
  return model as Model;
}
