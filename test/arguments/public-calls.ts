/** Every public function and method, with its door and arguments that it takes. */

import type { Argument, Entry } from "../../src/arguments/entry.ts";
import { attributionDoors } from "../../src/attribution/attribute-edges.ts";
import { deviceReportDoor } from "../../src/device-report/device-report.ts";
import { evaluateDoor } from "../../src/evaluate/evaluate.ts";
import { sweepDoor } from "../../src/evaluate/sweep.ts";
import { scoreDoor, unigramDoor } from "../../src/evaluate/unigram-classifier.ts";
import { attributeEdgesDoor, openAttributionDoor } from "../../src/fit/attribution.ts";
import { auraDoor } from "../../src/fit/aura.ts";
import { directionDoor } from "../../src/fit/directions.ts";
import { fitEdgesDoor } from "../../src/fit/edges/fit-edges.ts";
import { layerChoiceDoor } from "../../src/fit/layer-choice.ts";
import { neuronsDoor, valueVectorsDoor } from "../../src/fit/neurons.ts";
import { poolDoor } from "../../src/fit/pool.ts";
import { probeDoor, readProbeDoor, writeProbeDoor } from "../../src/fit/probe.ts";
import { parseSafetensorsDoor, writeSafetensorsDoor } from "../../src/formats/safetensors.ts";
import { listModelsDoor, removeModelDoor } from "../../src/hub/cached-models.ts";
import * as sluice from "../../src/index.ts";
import { openAttribution } from "../../src/index.ts";
import { readBundleDoor, writeBundleDoor } from "../../src/interventions/bundle.ts";
import { checkDoor } from "../../src/interventions/check.ts";
import { exportBundleDoor } from "../../src/interventions/export/export-bundle.ts";
import { importBundleDoor } from "../../src/interventions/import/import-bundle.ts";
import { importDoor } from "../../src/interventions/import-gguf.ts";
import { inspectDoor } from "../../src/interventions/inspect.ts";
import { mergeDoor } from "../../src/interventions/merge.ts";
import { listSitesDoor } from "../../src/interventions/site-names.ts";
import { bakeModelDoor } from "../../src/model/bake-model.ts";
import {
  batchDoors,
  digestsDoor,
  loadBundleDoor,
  loadDoor,
  modelDoors,
  sessionDoors,
  weightsDigestDoor,
} from "../../src/model/doors.ts";
import { measureModelDoor } from "../../src/model/footprint.ts";
import { quantizeModelDoor } from "../../src/model/quantize-model.ts";
import { readModelConfigDoor } from "../../src/model/read-model-config.ts";
import { sealBundleDoor } from "../../src/model/seal-bundle.ts";
import { tuneDoor } from "../../src/model/tuning.ts";
import { benchDoor } from "../../src/profile/bench.ts";
import { profileDoor } from "../../src/profile/profile.ts";
import { hostTimeDoor, measureDoor, reportDoor, traceDoor } from "../../src/profile/profile-argument.ts";
import { tokenizerDoors } from "../../src/tokenizer/checked.ts";
import { bundleOf, filled } from "../interventions/model-configs.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

/** One public function. */
export interface PublicCall {
  readonly door: Entry<readonly Argument[]>;
  /** Arguments that it takes; options are aborted where it would run long. */
  readonly given: readonly unknown[];
  call(...given: readonly unknown[]): unknown;
}

type AnyFunction = (...given: readonly unknown[]) => unknown;

const signal = AbortSignal.abort();
const aborted = { signal };

/** Calls of a model, plain and edited, with a session of the edited one. */
export async function publicCalls(): Promise<{
  readonly functions: Readonly<Record<string, PublicCall>>;
  readonly methods: readonly (readonly [owner: object, calls: Readonly<Record<string, PublicCall>>])[];
  dispose(): void;
}> {
  const folder = location("test/golden/gpt2-tiny");
  const model = await load(folder);
  const texted = await load(location("weights/stories260K"));
  const { config } = model;
  const d = config.hidden_size;
  const bundle = bundleOf(
    config,
    [{ id: "push", kind: "affine", method: "addition", site: "resid_post", layers: [0] }],
    { "push.0.direction": filled([d]) },
  );
  const edited = model.with([bundle]);
  const session = await edited.session({ context: 8 });
  const batch = await edited.batch({ sequences: 1, context: 8, prefillRows: 8 });
  const sentences = [1, 2, 3, 4, 5].map((id) => [id, id + 1]);
  const classes = { positive: sentences, negative: sentences.map((ids) => [...ids, 9]) };
  const attribution = await openAttribution(model, [[1, 2, 3]]);
  const probe = {
    site: "resid_post",
    layer: 0,
    weight: new Float32Array(d).fill(1),
    bias: 0,
    n_positive: 1,
    n_negative: 1,
    held_out: null,
  };
  const classifier = sluice.fitUnigramClassifier({
    positive: Array.from({ length: 5 }, () => [1, 2]),
    negative: Array.from({ length: 5 }, () => [3]),
  });
  const { tokenizer } = texted;
  if (!tokenizer) throw new Error("stories260K has a tokenizer");
  const stream = tokenizer.stream();
  const of = (door: unknown, given: readonly unknown[], call: unknown): PublicCall => {
    return { door: door as PublicCall["door"], given, call: (...values) => (call as AnyFunction)(...values) };
  };
  const on = (
    owner: object,
    doors: Readonly<Record<string, unknown>>,
    given: Readonly<Record<string, readonly unknown[]>>,
  ) => {
    const methods = owner as Readonly<Record<string, AnyFunction>>;
    const calls = Object.entries(given).map(
      ([name, values]) =>
        [name, of(doors[name], values, (...odd: readonly unknown[]) => methods[name]?.apply(owner, [...odd]))] as const,
    );
    return [owner, Object.fromEntries(calls)] as const;
  };
  const profile = {
    ...{
      model: "m",
      quantization: null,
      stages: [],
      sluice_version: "0",
      device: "d",
      prompt_tokens: 1,
      new_tokens: 1,
    },
    ...{ clock: "gpu timestamps", resolution_ns: null, unusable_stamps: 0, time_origin_ms: 0, stage_costs: [] },
    ceilings: {
      ...{ read_gb_per_s: 1, fma_gflop_per_s: 1, gemm_gflop_per_s: 1 },
      kernels: { read: "r", fma: "f", gemm: "g" },
    },
    ...{ dispatches: [], by_label: [], by_kernel: [], by_layer: [], by_site: [] },
    wall: {
      prefill: { plain_ms: 1, recorded_ms: 1, profiled_ms: 1 },
      decode: { plain_ms: 1, recorded_ms: 1, profiled_ms: 1 },
    },
    host: { rows: [], spans: [] },
  };
  const origin = { date: "2026-11-29", host: "here", command: "sluice profile" };
  const bytes = sluice.writeBundle(bundle);
  const s = sluice;
  const options = { ...classes, ...aborted };
  return {
    functions: {
      sweep: of(sweepDoor, [model, [bundle], { strengths: [1], documents: sentences, ...aborted }], s.sweep),
      evaluate: of(evaluateDoor, [edited, { documents: sentences, ...aborted }], s.evaluate),
      fitUnigramClassifier: of(unigramDoor, [classes, {}], s.fitUnigramClassifier),
      attributeEdges: of(attributeEdgesDoor, [model, [1, 2], aborted], s.attributeEdges),
      openAttribution: of(openAttributionDoor, [model, sentences, aborted], s.openAttribution),
      exportBundle: of(exportBundleDoor, [bundle, "npz", {}], s.exportBundle),
      sealBundle: of(sealBundleDoor, [model, bundle, aborted], s.sealBundle),
      fitEdges: of(fitEdgesDoor, [model, { good: sentences, bad: sentences, ...aborted }], s.fitEdges),
      tuneModel: of(tuneDoor, [model, aborted], s.tuneModel),
      bakeModel: of(bakeModelDoor, [folder, [bundle], { dtype: "f32", ...aborted }], s.bakeModel),
      quantizeModel: of(quantizeModelDoor, [folder, "q8", aborted], s.quantizeModel),
      measureModel: of(measureModelDoor, [folder, { ...aborted }], s.measureModel),
      readModelConfig: of(readModelConfigDoor, [folder, aborted], s.readModelConfig),
      fitAura: of(auraDoor, [model, options], s.fitAura),
      fitDirection: of(directionDoor, [model, "ace", options], s.fitDirection),
      chooseLayer: of(layerChoiceDoor, [model, "ace", options], s.chooseLayer),
      fitNeurons: of(neuronsDoor, [model, folder, { probe, texts: sentences, ...aborted }], s.fitNeurons),
      readValueVectors: of(valueVectorsDoor, [model, folder, probe.weight, signal], s.readValueVectors),
      poolResponses: of(
        poolDoor,
        [model, sentences, ["resid_post.0"], "max", () => undefined, aborted],
        s.poolResponses,
      ),
      fitProbe: of(probeDoor, [model, options], s.fitProbe),
      readProbe: of(readProbeDoor, [sluice.writeProbe(probe as sluice.Probe), "probe"], s.readProbe),
      writeProbe: of(writeProbeDoor, [probe], s.writeProbe),
      parseSafetensors: of(parseSafetensorsDoor, [bytes, "a file", "bundle"], s.parseSafetensors),
      writeSafetensors: of(writeSafetensorsDoor, [bundle.tensors, {}], s.writeSafetensors),
      readBundle: of(readBundleDoor, [bytes, "a file"], s.readBundle),
      writeBundle: of(writeBundleDoor, [bundle], s.writeBundle),
      checkBundle: of(
        checkDoor,
        [[{ tokens: [1], prompt_length: 1, top: [[1, 0]], atol: 1 }], async () => new Float32Array(8)],
        s.checkBundle,
      ),
      importControlVector: of(importDoor, [new Uint8Array(8), "a file", config], s.importControlVector),
      importBundle: of(
        importBundleDoor,
        [{ "v.npy": new Uint8Array(8) }, "v.npy", config, { as: "ace", layers: [0], scale: 1, site: "resid_post" }],
        s.importBundle,
      ),
      inspectBundle: of(inspectDoor, [bundle], s.inspectBundle),
      mergeBundles: of(mergeDoor, [[bundle], "merged"], s.mergeBundles),
      listModels: of(listModelsDoor, [], s.listModels),
      removeModel: of(removeModelDoor, ["nobody/nothing"], s.removeModel),
      listSites: of(listSitesDoor, [config], s.listSites),
      benchModel: of(benchDoor, [model, undefined, aborted], s.benchModel),
      deviceReport: of(deviceReportDoor, [model, aborted], s.deviceReport),
      hostTimeOfToken: of(hostTimeDoor, [[]], s.hostTimeOfToken),
      measureInPage: of(measureDoor, [profile], s.measureInPage),
      profileModel: of(profileDoor, [model, [1, 2], aborted], s.profileModel),
      reportOf: of(reportDoor, [profile, origin], s.reportOf),
      traceOf: of(traceDoor, [profile, origin], s.traceOf),
      digestsFor: of(digestsDoor, [[bundle], folder, aborted], s.digestsFor),
      weightsDigestOf: of(weightsDigestDoor, [folder, aborted], s.weightsDigestOf),
      load: of(loadDoor, [folder, aborted], s.load),
      loadBundle: of(loadBundleDoor, [bytes, aborted], s.loadBundle),
    },
    methods: [
      on(edited, modelDoors, {
        with: [[bundle], { strengths: { push: 1 }, params: new Map([["push", { alpha: 1 }]]) }],
        encode: [[1, 2]],
        generate: [[1, 2], aborted],
        generateBatch: [[[1, 2]], aborted],
        session: [aborted],
        batch: [aborted],
        logits: [[1, 2], aborted],
        capture: [[1, 2], ["resid_post.0"], aborted],
        perplexity: [sentences, aborted],
        compare: [[1, 2], aborted],
        compareTokens: [[1, 2], aborted],
        checkFinite: [[1, 2], aborted],
        lens: [[1, 2], aborted],
        explain: [aborted],
      }),
      on(session, sessionDoors, {
        tokens: [0],
        set: ["push", { strength: 1, alpha: 1 }, {}],
        setTensors: ["push", 0, { direction: new Float32Array(d).fill(1) }, {}],
        stage: ["push", 0],
        generate: [[1, 2], aborted],
        generateBatch: [[[1, 2]], aborted],
      }),
      on(batch, batchDoors, {
        generate: [[1, 2], aborted],
        addBundle: ["another", bundle],
        removeBundle: ["another"],
      }),
      on(attribution, attributionDoors, { run: [{}, aborted], losses: [[{}], aborted], means: [aborted] }),
      on(tokenizer, tokenizerDoors, {
        encode: ["Once", {}],
        decode: [[1, 2], {}],
        stream: [{ context: [1] }],
        applyChatTemplate: [[{ role: "user", content: "hello" }], { addGenerationPrompt: true }],
      }),
      on(stream, tokenizerDoors, { push: [1] }),
      on(classifier, { score: scoreDoor }, { score: [[1]] }),
    ],
    dispose() {
      attribution.dispose();
      batch.dispose();
      session.dispose();
      texted.dispose();
      model.dispose();
    },
  };
}
