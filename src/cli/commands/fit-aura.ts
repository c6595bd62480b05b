/** `sluice fit aura` */

import { basename } from "node:path";
import { auraDefaults } from "../../defaults.ts";
import type { AuraFit, AuraOptions } from "../../index.ts";
import { type NeuronSite, neuronSites } from "../../interventions/stage.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import {
  decimal,
  flag,
  name,
  oneOf,
  optional,
  output,
  renamed,
  repeated,
  required,
  wholeNumber,
  withDefault,
} from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { checkReading, fitClassOptions, readClasses, readingOf, sentencesFor } from "../sentences.ts";
import { checkFiniteSentences } from "./check-finite.ts";
import { openStore } from "./fit-store.ts";
import { fitModelOptions, fittedWeights, modelArgument, withModel, writeFitted } from "./model.ts";
import { queueOption, withRunner } from "./queue.ts";

export const fitAura = defineCommand({
  name: "fit aura",
  summary: "Fit a bundle that damps the neurons that distinguish two classes of sentences",
  description: [
    "Measures each neuron's greatest response to every sentence (or its response at --token) and how well it separates the positive class from " +
      "the negative one (AUROC), and scales the neuron down accordingly: AurA (arXiv 2407.12824). Sentences given as tokens are used exactly " +
      "as they are; texts get the special tokens that the tokenizer adds. If the fit is interrupted, it keeps its measurements in " +
      "OUT.partial and continues from there when it is run again.",
  ],
  positionals: { model: modelArgument },
  options: {
    ...fitClassOptions,
    site: repeated(
      "SITE",
      "Where to measure and scale (default: mlp_pre and mlp_out on GPT-2; gate_pre, up and mlp_out on Llama)",
      oneOf(...neuronSites),
    ),
    variant: withDefault(
      "KIND",
      "aura: scale by AUROC; damp: by --factor; det0: to zero; the last two scale only the --neurons with the highest AUROC",
      oneOf("aura", "damp", "det0"),
      auraDefaults.variant,
    ),
    neurons: renamed(
      optional("K", "Scale only the K neurons with the highest AUROC in the whole model", wholeNumber(1)),
      "top",
    ),
    factor: optional("F", "The factor of --variant damp", decimal(), auraDefaults.factor),
    name: optional("NAME", "Name of the bundle", name),
    out: output(required("FILE", "The bundle to write", name)),
    json: flag("Print one JSON object"),
    queue: queueOption,
    ...fitModelOptions,
  },
  examples: [
    {
      line: "fit aura weights/gpt2-stories --positive test/data/plays.jsonl --negative test/data/tales.jsonl --max-tokens 24 --out aura.safetensors",
      shows: "Damp what makes stories sound like plays:",
    },
  ],
  check: checkReading,
  async run(values, context) {
    const { progress, signal, stdout } = context;
    const documents = await readClasses(values, context);
    const file = await prepareOutFile(values.out);
    const weights = await fittedWeights(values, context);
    const sites = [...new Set<NeuronSite>(values.site)];
    const { model: source, out } = values;
    const { fit, store, device } = await withModel({ ...values, plan: "reference" }, context, async (model) => {
      const { variant, neurons: top, factor } = values;
      const sentences = {
        positive: sentencesFor(model, documents.positive, values),
        negative: sentencesFor(model, documents.negative, values),
        ...readingOf(values),
      };
      const inputs = {
        model: source,
        out,
        weights,
        own: { method: "aura", sites, queued: values.queue !== undefined },
      };
      const both = [...sentences.positive, ...sentences.negative];
      await checkFiniteSentences(values.checkFinite, model, both, readingOf(values), context);
      const store = await openStore(inputs, model, sentences, context);
      const fitted = (runner: Pick<AuraOptions, "runner">) =>
        context.library.fitAura(model, {
          ...sentences,
          ...runner,
          ...(sites.length > 0 && { sites }),
          variant,
          ...defined({ top, factor, name: values.name }),
          sources: { positive: basename(values.positive), negative: basename(values.negative) },
          signal,
          store,
          onProgress: (done, total, kept) => progress.count("measuring", { done, total, unit: "sentences", kept }),
        });
      const work = withRunner({ ...values, plan: "reference" }, context, fitted, { weights, store });
      return { fit: await progress.during("measuring", store.during(work)), store, device: model.device.name };
    });
    await file.write(writeFitted(fit.bundle, weights));
    await store.remove();
    const run = context.record(device);
    stdout.write(values.json ? `${JSON.stringify({ ...reported(fit), run })}\n` : table(fit, values.out));
  },
});

function reported({ strongest, neurons, beyondChance, expectedByChance }: AuraFit): object {
  return { strongest, neurons, beyond_chance: beyondChance, expected_by_chance: expectedByChance };
}

function table({ strongest, neurons, beyondChance, expectedByChance }: AuraFit, out: string): string {
  const rows = strongest.map(({ site, layer, neuron, auroc, scale }) => {
    const place = `${site}.${layer}`.padEnd(14);
    return `  ${place}${String(neuron).padStart(6)}   ${auroc.toFixed(4)}   ${scale.toFixed(3)}\n`;
  });
  return (
    `  site          neuron   AUROC    scale\n${rows.join("")}\n` +
    `${beyondChance} of ${neurons} neurons separate the classes beyond three standard deviations of chance, ` +
    `where chance alone would put ${expectedByChance.toFixed(1)}.\n` +
    `${out} written; try it: sluice generate MODEL PROMPT --with ${out}\n`
  );
}
