/** `sluice fit probe` */
import { probeDefaults } from "../../defaults.ts";
import { writeProbe } from "../../fit/probe.ts";
import type { ProbeOptions } from "../../index.ts";
import { affineSites } from "../../interventions/stage.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { decimal, flag, name, oneOf, optional, output, required, wholeNumber, withDefault } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { checkReading, fitClassOptions, readClasses, readingOf, sentencesFor } from "../sentences.ts";
import { checkFiniteSentences } from "./check-finite.ts";
import { fitModelOptions, modelArgument, withModel } from "./model.ts";
import { queueOption, withRunner } from "./queue.ts";

export const fitProbe = defineCommand({
  name: "fit probe",
  summary: "Fit a logistic probe that distinguishes two classes of sentences",
  description: [
    "Averages a site over the tokens of each sentence (or reads it at --token) and fits a logistic regression with an L2 penalty to the means. A " +
      "fifth of each class is held out, and the probe is judged on it. `sluice fit neurons` reads neurons along it.",
  ],
  positionals: { model: modelArgument },
  options: {
    ...fitClassOptions,
    site: withDefault("SITE", "Where to measure", oneOf(...affineSites), "resid_post"),
    layer: optional("N", "At which layer (default: the last)", wholeNumber(0)),
    l2: optional("W", "Weight of ½‖w‖² against the sum of losses", decimal({ min: 0 }), probeDefaults.l2),
    out: output(required("FILE", "The probe to write: a safetensors file with weight and bias", name)),
    json: flag("Print one JSON object"),
    queue: queueOption,
    ...fitModelOptions,
  },
  examples: [
    {
      line: "fit probe weights/gpt2-stories --positive test/data/plays.jsonl --negative test/data/tales.jsonl --max-tokens 24 --out probe.safetensors",
      shows: "What separates plays from tales in the last layer's stream:",
    },
  ],
  check: checkReading,
  async run(values, context) {
    const { progress, signal, stdout } = context;
    const documents = await readClasses(values, context);
    const file = await prepareOutFile(values.out);
    const { probe, device } = await withModel({ ...values, plan: "reference" }, context, async (model) => {
      const positive = sentencesFor(model, documents.positive, values);
      const negative = sentencesFor(model, documents.negative, values);
      const both = [...positive, ...negative];
      await checkFiniteSentences(values.checkFinite, model, both, readingOf(values), context);
      const fit = (runner: Pick<ProbeOptions, "runner">) =>
        context.library.fitProbe(model, {
          ...runner,
          positive,
          negative,
          ...readingOf(values),
          site: values.site,
          ...defined({ layer: values.layer, l2: values.l2 }),
          signal,
          onProgress: (done, total) => progress.count("measuring", { done, total, unit: "sentences" }),
        });
      const work = withRunner({ ...values, plan: "reference" }, context, fit);
      return { probe: await progress.during("measuring", work), device: model.device.name };
    });
    await file.write(writeProbe(probe));
    const { site, layer, held_out, n_positive, n_negative } = probe;
    if (values.json) {
      stdout.write(
        `${JSON.stringify({ site, layer, n_positive, n_negative, held_out, run: context.record(device) })}\n`,
      );
      return;
    }
    const judged = held_out
      ? `right on ${(100 * held_out.accuracy).toFixed(1)} % of ${held_out.n} held-out sentences, AUROC ${held_out.auroc.toFixed(4)}`
      : "too few sentences to hold any out";
    stdout.write(
      `${site}.${layer}: fitted to ${n_positive} positive and ${n_negative} negative sentences; ${judged}\n` +
        `${values.out} written; read neurons along it: sluice fit neurons MODEL --probe ${values.out} --texts FILE --out B\n`,
    );
  },
});
