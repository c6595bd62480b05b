/** `sluice sweep` */
import { SluiceError } from "../../errors.ts";
import type { Sweep, SweepOptions } from "../../index.ts";
import { show, showText } from "../../show.ts";
import { left, right, table } from "../columns.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { readDocuments, readLines } from "../documents.ts";
import {
  flag,
  input,
  name,
  needing,
  optional,
  output,
  type Parser,
  required,
  wholeNumber,
  withDefault,
} from "../options.ts";
import { prepareOutFile, writeTogether } from "../out-file.ts";
import { loadScorer } from "../scorer.ts";
import { sweepPlot } from "../sweep-plot.ts";
import { checkFinite, checkFiniteOption } from "./check-finite.ts";
import { interventionOptions, interventionsFrom } from "./interventions.ts";
import { digestsOf, loadBundles, modelArgument, modelOptions, tuneOptions, withModel } from "./model.ts";
import { documentsOf, predictedTexts } from "./predicted-texts.ts";
import { encodePrompt } from "./prompt.ts";
import { queueOption, withRunner } from "./queue.ts";

const { with: bundles, strength, param, positions } = interventionOptions;

const numbers: Parser<readonly number[]> = (given, option) => {
  const parts = given.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (parts.every(Number.isFinite)) return parts;
  throw new SluiceError("usage", `${option} takes numbers, not "${showText(given, 60)}"`, {
    hint: "Write them with commas: 0,0.5,1,2",
  });
};

const layerList: Parser<"all" | readonly number[]> = (given, option) => {
  if (given === "all") return "all";
  const layers = given.split(",").map((part) => (/^\s*\d{1,6}\s*$/.test(part) ? Number(part) : Number.NaN));
  if (layers.every(Number.isSafeInteger)) return layers;
  throw new SluiceError("usage", `${option}: "${showText(given, 60)}" names no layers`, {
    hint: "Write all, 7, or 3,4,5.",
  });
};

const idList: Parser<readonly string[]> = (given, option) => {
  const ids = given.split(",").map((id) => id.trim());
  if (ids.every((id) => id !== "")) return ids;
  throw new SluiceError("usage", `${option}: "${showText(given, 60)}" has an empty id`, { hint: "Write ID or ID,ID." });
};

export const sweep = defineCommand({
  name: "sweep",
  summary: "Measure interventions at many strengths and layers",
  description: [
    "Gives the stages of the bundles every strength of --strengths, at every layer of --layers, and measures each setting. On " +
      "--texts: perplexity, KL divergence and next-token agreement with the plain model. On --prompts: how far the next token's " +
      "distribution moves (KL), how often the likeliest token stays, and with --max-new-tokens what follows.",
    "An affine stage that was fitted at one layer is applied at each of --layers; one with values for a layer uses these. " +
      "Without --layers, stages act where their bundle has them.",
  ],
  positionals: { model: modelArgument },
  options: {
    with: bundles,
    strengths: required("LIST", "Strengths to try, such as 0,0.5,1,2", numbers),
    layers: optional("LAYERS", "Layers to try: all, or layers such as 7 or 3,4,5", layerList),
    stages: optional("IDS", "Stages to sweep, such as calm or calm,bold (default: all)", idList),
    strength,
    param,
    positions,
    ...predictedTexts,
    prompts: input(optional("FILE", "Prompts: one per line, or .jsonl with text or tokens", name)),
    maxNewTokens: needing(
      withDefault("N", "Tokens to continue each prompt by, the likeliest at each step; 0: none", wholeNumber(0), 0),
      "prompts",
    ),
    scorer: input(
      optional(
        "FILE",
        "Judge the continuations by a module: export default (text) => number, or a promise of one",
        name,
      ),
    ),
    plot: output(optional("FILE", "Draw the measures over the strengths, as SVG", name)),
    out: output(optional("FILE", "Write the JSON there", name)),
    json: flag("Print one JSON object, with every prompt"),
    checkFinite: checkFiniteOption,
    queue: queueOption,
    ...modelOptions,
    ...tuneOptions,
  },
  examples: [
    {
      line: "sweep weights/gpt2-stories --with calm.safetensors --strengths 0,0.5,1,2 --layers all --prompts openings.txt --plot sweep.svg",
      shows: "Where, and how strongly?",
    },
  ],
  check({ with: given, texts, prompts, scorer, maxNewTokens }) {
    if (given.length === 0) {
      throw new SluiceError("usage", "--with BUNDLE is missing", { hint: "Name the interventions to sweep." });
    }
    if (texts === undefined && prompts === undefined) {
      throw new SluiceError("usage", "there is nothing to measure on", {
        hint: "Give --prompts FILE, --texts FILE to predict, or both.",
      });
    }
    if (scorer !== undefined && (prompts === undefined || maxNewTokens === 0)) {
      throw new SluiceError("usage", "there is nothing to judge", {
        hint: "Give --prompts FILE and --max-new-tokens N to continue.",
      });
    }
  },
  async run(values, context) {
    const { library, progress, signal, stdout } = context;
    const texts = values.texts === undefined ? undefined : await readDocuments(values.texts, signal);
    const prompts = values.prompts === undefined ? undefined : await readLines(values.prompts, "prompt", signal);
    const scorer = values.scorer === undefined ? undefined : await loadScorer(values.scorer);
    const out = values.out === undefined ? undefined : await prepareOutFile(values.out);
    const plot = values.plot === undefined ? undefined : await prepareOutFile(values.plot);
    // Kernels that were chosen by measurement here are not those of other machines.
    const noTune = values.noTune || values.queue !== undefined;
    const choice = { ...values, promptLength: undefined };
    const { strengths: own, params, positions: places } = interventionsFrom(choice);
    const composed = await loadBundles(choice, context);
    const digests = await digestsOf(values, composed, context);
    const { result, device } = await withModel({ ...values, noTune, long: true }, context, async (model) => {
      const documents = texts && documentsOf(model, texts.slice(0, values.maxTexts), values, context);
      await checkFinite(
        values.checkFinite,
        model,
        [...(documents ?? []), ...(prompts ?? []).map((prompt) => encodePrompt(model, prompt))],
        undefined,
        context,
      );
      const measure = (runner: Pick<SweepOptions, "runner">) =>
        library.sweep(model, composed, {
          ...runner,
          strengths: values.strengths,
          ...defined({ layers: values.layers, stages: values.stages, prompts, scorer }),
          settings: { strengths: own, params, positions: places, digests },
          ...(documents && { documents }),
          newTokens: values.maxNewTokens,
          signal,
          onProgress: (done, total) => progress.count("sweeping", { done, total, unit: "settings" }),
        });
      return {
        result: await progress.during("sweeping", withRunner(values, context, measure)),
        device: model.device.name,
      };
    });
    for (const id of result.widened) {
      context.note(
        `stage "${id}" has positions that depend on a prompt's length; when predicting, it acted at every token`,
      );
    }
    const files = composed.map(({ bundle: { file } }) => file);
    const named = prompts?.map((prompt) => (typeof prompt === "string" ? { text: prompt } : { tokens: prompt }));
    const report = { model: values.model, bundles: files, ...(named && { prompts: named }), ...result };
    const json = `${JSON.stringify({ ...report, run: context.record(device) })}\n`;
    const encoder = new TextEncoder();
    await writeTogether([
      [out, encoder.encode(json)],
      [plot, encoder.encode(plot ? sweepPlot(result, `${values.model}: ${result.stages.join(", ")}`) : "")],
    ]);
    stdout.write(values.json ? json : cellTable(result));
  },
});

function cellTable({ cells, layers }: Sweep): string {
  const hasLayers = layers.some((layer) => layer !== null);
  const [first] = cells;
  const hasScores = typeof first?.prompts?.score === "number";
  const columns = [
    ...(hasLayers ? [right("layer")] : []),
    right("strength"),
    ...(first?.texts ? [right("perplexity"), right("÷ plain"), right("KL"), right("same token")] : []),
    ...(first?.prompts ? [right("KL after prompts"), right("same next token")] : []),
    ...(hasScores ? [right("score")] : []),
    ...(first?.prompts?.each[0]?.text != null ? [left("the first prompt goes on")] : []),
  ];
  const rows = cells.map(({ layer, strength: s, texts, prompts }) => [
    ...(hasLayers ? [String(layer)] : []),
    signed(String(s)),
    ...(texts
      ? [
          texts.perplexity.toFixed(3),
          (texts.perplexity / texts.plain_perplexity).toFixed(4),
          texts.kl_nats.toFixed(4),
          percent(texts.agreement),
        ]
      : []),
    ...(prompts ? [prompts.kl_nats.toFixed(4), percent(prompts.agreement)] : []),
    ...(hasScores ? [signed((prompts?.score ?? 0).toFixed(3))] : []),
    ...(prompts?.each[0]?.text != null ? [show(prompts.each[0].text)] : []),
  ]);
  return table(columns, rows);
}

function signed(text: string): string {
  return text.replace("-", "−");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
