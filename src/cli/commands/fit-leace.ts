/** `sluice fit leace` */
import { basename } from "node:path";
import { SluiceError } from "../../errors.ts";
import type { ErasedLayer, LeaceFit } from "../../index.ts";
import { writeBundle } from "../../interventions/bundle.ts";
import { affineSites } from "../../interventions/stage.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { flag, name, oneOf, optional, type Parser, required, withDefault } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { classOptions, encodeAll, readClasses } from "../sentences.ts";
import { layerList } from "./fit-directions.ts";
import { fitModelOptions, modelArgument, withModel } from "./model.ts";

const autoOrShare: Parser<"auto" | number> = (given, option) => {
  if (given === "auto") return "auto";
  const share = given.trim() === "" ? Number.NaN : Number(given);
  if (share >= 0 && share <= 1) return share;
  throw new SluiceError("usage", `${option}: "${given}" is no share`, { hint: "Write auto, or a number from 0 to 1." });
};

export const fitLeace = defineCommand({
  name: "fit leace",
  summary: "Fit a bundle that erases what a linear classifier could tell two classes by",
  description: [
    "Measures means and covariance of the activations at the last token, and takes from each activation a multiple of " +
      "the difference between the classes' means, measured so that the means are equal afterwards and the least possible " +
      "is changed: LEACE (arXiv 2306.03819). Each layer is fitted with those before it edited, so that this holds at " +
      "every layer of the bundle; the sentences are run once for each layer.",
    "The table tells how much of the spread of the activations the edit takes, beside what directional ablation would.",
    "Sentences given as tokens are taken exactly as they are; texts get the special tokens that the tokenizer adds.",
  ],
  positionals: { model: modelArgument },
  options: {
    ...classOptions,
    site: withDefault("SITE", "Where", oneOf(...affineSites), "resid_post"),
    layers: withDefault("LAYERS", "all, or layers such as 7 or 3,4,5", layerList, "all"),
    shrinkage: withDefault(
      "L",
      "How far covariances are shrunk towards 0, from 0 (LEACE as published, for many more sentences than the site is " +
        "wide) to 1; auto chooses by their number",
      autoOrShare,
      "auto",
    ),
    name: optional("NAME", "What the bundle is called", name),
    out: required("FILE", "The bundle to write", name),
    json: flag("Print one JSON object"),
    ...fitModelOptions,
  },
  examples: [
    {
      line: "fit leace weights/gpt2-stories --positive test/data/plays.jsonl --negative test/data/tales.jsonl --max-tokens 24 --out leace.safetensors",
      shows: "Erase whether a text is a play or a tale:",
    },
  ],
  async run(values, context) {
    const { progress, signal, stdout } = context;
    const documents = await readClasses(values, context);
    const file = await prepareOutFile(values.out);
    const fit = await withModel({ ...values, plan: "reference" }, context, async (model) => {
      const started = performance.now();
      const positive = encodeAll(model, documents.positive, values.maxTokens);
      const negative = encodeAll(model, documents.negative, values.maxTokens);
      const sentences = positive.length + negative.length;
      const work = context.library.fitLeace(model, {
        positive,
        negative,
        site: values.site,
        layers: values.layers,
        shrinkage: values.shrinkage,
        ...defined({ name: values.name }),
        sources: { positive: basename(values.positive), negative: basename(values.negative) },
        signal,
        onProgress: (done, total) => progress.update("measuring", layerLeft(done, total, sentences, started)),
      });
      return progress.during("measuring", work);
    });
    await file.write(writeBundle(fit.bundle));
    const id = fit.bundle.manifest.stages[0]?.id;
    if (values.json) stdout.write(`${JSON.stringify({ id, layers: fit.layers.map(reported) })}\n`);
    else stdout.write(`${table(fit)}\n${values.out} written: stage ${id}\n`);
  },
});

/** `layer 2 of 4: 318 of 1787 sentences, about 40 s left`: each layer runs the sentences anew. */
function layerLeft(done: number, total: number, sentences: number, started: number): string {
  const round = Math.ceil(done / sentences);
  const spent = performance.now() - started;
  const left = done < total ? `, about ${Math.ceil((spent * (total - done)) / done / 1000)} s left` : "";
  return `layer ${round} of ${total / sentences}: ${done - (round - 1) * sentences} of ${sentences} sentences${left}`;
}

function reported({ layer, distance, shrinkage, moved, movedByAblation }: ErasedLayer): object {
  return { layer, direction_norm: distance, shrinkage, moved, moved_by_ablation: movedByAblation };
}

function table({ layers }: LeaceFit): string {
  const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;
  const rows = layers.map(({ layer, distance, shrinkage, moved, movedByAblation }) =>
    [String(layer), distance.toFixed(4), shrinkage.toFixed(4), percent(moved), percent(movedByAblation)]
      .map((cell, i) => cell.padStart((HEADINGS[i]?.length ?? 0) + (i === 0 ? 2 : 3)))
      .join(""),
  );
  return `  ${HEADINGS.join("   ")}\n${rows.map((row) => `${row}\n`).join("")}`;
}

const HEADINGS = ["layer", "‖r⁺ − r⁻‖", "shrinkage", "taken of the spread", "by ablation"];
