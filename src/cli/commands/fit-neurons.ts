/** `sluice fit neurons` */

import { basename } from "node:path";
import { neuronDefaults } from "../../defaults.ts";
import { readProbe } from "../../fit/probe.ts";
import type { NeuronFit, NeuronOptions, Probe } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { readConversations, readLines } from "../documents.ts";
import { decimal, flag, input, name, optional, output, required, wholeNumber } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { readWholeFile } from "../read-file.ts";
import { checkReading, readingOf, readingOptions, sentencesFor } from "../sentences.ts";
import { checkFiniteSentences } from "./check-finite.ts";
import { fitModelOptions, fittedWeights, modelArgument, withModel, writeFitted } from "./model.ts";
import { queueOption, withRunner } from "./queue.ts";

export const fitNeurons = defineCommand({
  name: "fit neurons",
  summary: "Read how neurons add up along a probe, and fit an edit from that without training",
  description: [
    "Neuron i writes a·v to the stream, and so a(v·ŵ) along a probe's direction ŵ. Averages activations over texts, sorts " +
      "neurons into four groups (v along ŵ or against it: T, A; mean activation positive or negative: P, N) and sums what " +
      "each group writes. The bundle sets part of them to moved means: TP and AN, which add to the concept, to 1 − alpha " +
      "of theirs, AP and TN to 1 + alpha (arXiv 2411.06424).",
  ],
  positionals: { model: modelArgument },
  options: {
    probe: input(required("FILE", "A probe that `sluice fit probe` wrote for this model", name)),
    texts: input(
      required("FILE", "Texts to average activations over: one per line, or .jsonl with text or tokens", name),
    ),
    ...readingOptions,
    maxTokens: optional("N", "Take only the first N tokens of each text", wholeNumber(1)),
    alpha: optional("A", "How far means are moved, relative to their values", decimal(), neuronDefaults.alpha),
    share: optional(
      "B",
      "Share of each group's neurons that are set",
      decimal({ min: 0, max: 1 }),
      neuronDefaults.share,
    ),
    name: optional("NAME", "Name of the bundle", name),
    out: output(required("FILE", "The bundle to write", name)),
    json: flag("Print one JSON object"),
    queue: queueOption,
    ...fitModelOptions,
  },
  examples: [
    {
      line: "fit neurons weights/gpt2-stories --probe probe.safetensors --texts test/data/tales.jsonl --max-tokens 24 --out neurons.safetensors",
      shows: "Which neurons write what the probe reads:",
    },
  ],
  check: checkReading,
  async run(values, context) {
    const { progress, signal, stdout } = context;
    const [probe, documents] = await Promise.all([
      openProbe(values.probe, signal),
      (values.chat ? readConversations : readLines)(values.texts, "text", signal),
    ]);
    const file = await prepareOutFile(values.out);
    const weights = await fittedWeights(values, context);
    const { fit, device } = await withModel({ ...values, plan: "reference" }, context, async (model) => {
      const texts = sentencesFor(model, documents, values);
      await checkFiniteSentences(values.checkFinite, model, texts, readingOf(values), context);
      const fitted = (runner: Pick<NeuronOptions, "runner">) =>
        context.library.fitNeurons(model, values.model, {
          ...runner,
          probe,
          texts,
          ...readingOf(values),
          ...defined({ alpha: values.alpha, share: values.share, name: values.name }),
          sources: { texts_from: basename(values.texts) },
          signal,
          onProgress: (done, total) => progress.count("measuring", { done, total, unit: "texts" }),
        });
      const work = withRunner({ ...values, plan: "reference" }, context, fitted, { weights });
      return { fit: await progress.during("measuring", work), device: model.device.name };
    });
    await file.write(writeFitted(fit.bundle, weights));
    const { groups, strongest } = fit;
    stdout.write(
      values.json ? `${JSON.stringify({ groups, strongest, run: context.record(device) })}\n` : table(fit, values.out),
    );
  },
});

async function openProbe(path: string, signal: AbortSignal): Promise<Probe> {
  return readProbe(await readWholeFile(path, signal, "sluice fit probe writes a probe."), path);
}

const meanings = {
  TP: "along the probe, active",
  TN: "along the probe, inactive",
  AP: "against it, active",
  AN: "against it, inactive",
} as const;

function table({ groups, strongest }: NeuronFit, out: string): string {
  const sums = Object.entries(meanings).map(([group, meaning]) => {
    const { neurons, edited, readout } = groups[group as keyof typeof meanings];
    const numbers = `${String(neurons).padStart(9)}${String(edited).padStart(9)}${readout.toFixed(4).padStart(12)}`;
    return `  ${group}   ${meaning.padEnd(26)}${numbers}\n`;
  });
  const total = Object.values(groups).reduce((sum, { readout }) => sum + readout, 0);
  const rows = strongest.map(({ layer, neuron, group, mean, cosine, readout }) => {
    const place = `${String(layer).padStart(7)}${String(neuron).padStart(9)}   ${group}`;
    return `${place}${mean.toFixed(4).padStart(11)}${cosine.toFixed(4).padStart(10)}${readout.toFixed(4).padStart(11)}\n`;
  });
  return (
    `  group                            neurons      set     readout\n${sums.join("")}` +
    `  all${total.toFixed(4).padStart(57)}\n\n` +
    `  layer   neuron  group     mean    cosine    readout\n${rows.join("")}\n` +
    `${out} written; try it: sluice generate MODEL PROMPT --with ${out}\n`
  );
}
