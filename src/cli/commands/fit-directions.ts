/** `sluice fit ace`, `sluice fit ablation`, `sluice fit addition`, `sluice fit leace` */

import { basename } from "node:path";
import { layerChoiceDefaults } from "../../defaults.ts";
import { SluiceError } from "../../errors.ts";
import { toFloat32 } from "../../formats/safetensors.ts";
import type { DirectionMethod, DirectionOptions, JudgedLayer } from "../../index.ts";
import type { Bundle } from "../../interventions/bundle-types.ts";
import { affineSites } from "../../interventions/stage.ts";
import { layerTensorNamed } from "../../interventions/tensor-names.ts";
import { showText } from "../../show.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { decimal, flag, name, oneOf, optional, output, type Parser, required, withDefault } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { checkReading, fitClassOptions, readClasses, readingOf, sentencesFor } from "../sentences.ts";
import { checkFiniteSentences } from "./check-finite.ts";
import { openStore } from "./fit-store.ts";
import { fitModelOptions, fittedWeights, modelArgument, withModel, writeFitted } from "./model.ts";
import { queueOption, withRunner } from "./queue.ts";

const layerList: Parser<"all" | "auto" | readonly number[]> = (given, option) => {
  if (given === "all" || given === "auto") return given;
  const layers = given.split(",").map((part) => (/^\d+$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (layers.every(Number.isSafeInteger)) return layers;
  throw new SluiceError("usage", `${option}: "${given}" names no layers`, { hint: "Write all, auto, 7, or 3,4,5." });
};

const oneLayer: Parser<"auto" | number> = (given, option) => {
  if (given === "auto") return "auto";
  if (/^\d{1,6}$/.test(given)) return Number(given);
  throw new SluiceError("usage", `${option}: "${showText(given, 60)}" is not a layer`, {
    hint: "Write a layer such as 7, or auto.",
  });
};

const autoOrShare: Parser<"auto" | number> = (given, option) => {
  if (given === "auto") return "auto";
  const share = given.trim() === "" ? Number.NaN : Number(given);
  if (share >= 0 && share <= 1) return share;
  throw new SluiceError("usage", `${option}: "${given}" is not a share`, {
    hint: "Write auto, or a number from 0 to 1.",
  });
};

const summaries: Readonly<Record<DirectionMethod, string>> = {
  ace: "Fit a bundle that moves activations along the direction between two classes to a chosen point",
  ablation: "Fit a bundle that removes the direction between two classes from activations",
  addition: "Fit a bundle that adds the direction between two classes to activations",
  leace: "Fit a bundle that makes two classes' means equal with the least change to activations (LEACE)",
};

const details: Readonly<Record<DirectionMethod, string>> = {
  ace: "For ace the reference is the negative mean. Its alpha is live: --param ID.alpha=A; 1 moves to the positive class.",
  ablation: "The component along it is removed.",
  addition: "Its alpha is live: --param ID.alpha=A; 1 moves to the positive class, −1 away from it.",
  leace:
    "A multiple of it is subtracted from each activation, by their covariance, so that the classes' means are equal " +
    "afterwards with the least change (arXiv 2306.03819). Each layer is fitted with the earlier layers edited: " +
    "the sentences are run once per layer.",
};

const ownOfLeace = {
  shrinkage: optional(
    "L",
    "How far correlations are shrunk towards 0: from 0 (LEACE as published, for many more sentences than the site is " +
      "wide) to 1; auto, the default, chooses by the number of sentences",
    autoOrShare,
  ),
};

const ownOfAblation = {
  everywhere: flag(
    "Remove one layer's direction from everything that writes to the stream: the embedding, and each layer's attention and " +
      "MLP. The layer is --layer, or chosen. Such a bundle can be baked",
  ),
};

const describe = (method: DirectionMethod) =>
  defineCommand({
    name: `fit ${method}`,
    summary: summaries[method],
    description: [
      `Averages activations at the last token of each class's sentences (or at --token); the direction is the difference of the means. ${details[method]} ` +
        "The bundle has one stage, and the class means.",
      "With --layer auto a direction is fitted at every layer from four fifths of the sentences. The chosen layer is the one " +
        "whose edit moves predictions on the other positive sentences most while negative ones stay within --kl-bound.",
      "Sentences given as tokens are used exactly as they are; texts get the special tokens that the tokenizer adds. " +
        "If the fit is interrupted, it keeps its measurements in OUT.partial and continues from there when it is run again.",
    ],
    positionals: { model: modelArgument },
    options: {
      ...fitClassOptions,
      site: withDefault("SITE", "Where to measure and edit", oneOf(...affineSites), "resid_post"),
      layers: optional("LAYERS", "all, auto, or layers such as 7 or 3,4,5", layerList, "all"),
      layer: optional("N", "The one layer, or auto", oneLayer),
      klBound: optional(
        "NATS",
        "With a layer that is chosen: maximum KL of the next token on held-out negative sentences",
        decimal({ min: 0 }),
        layerChoiceDefaults.klBound,
      ),
      ...(method === "leace" ? ownOfLeace : {}),
      ...(method === "ablation" ? ownOfAblation : {}),
      name: optional("NAME", "Name of the bundle", name),
      out: output(required("FILE", "The bundle to write", name)),
      json: flag("Print one JSON object"),
      queue: queueOption,
      ...fitModelOptions,
    },
    examples: [
      {
        line: `fit ${method} weights/gpt2-stories --positive test/data/plays.jsonl --negative test/data/tales.jsonl --max-tokens 24 --out ${method}.safetensors`,
        shows: "The direction from stories to plays:",
      },
    ],
    check(values) {
      checkReading(values);
      checkLayers(values);
    },
    async run(values, context) {
      const { progress, signal, stdout } = context;
      const layers = layersOf(values);
      const documents = await readClasses(values, context);
      const file = await prepareOutFile(values.out);
      const weights = await fittedWeights(values, context);
      const { model: source, out, site, shrinkage } = values;
      const everywhere = values.everywhere === true;
      const { bundle, table, store, device } = await withModel(
        { ...values, plan: "reference" },
        context,
        async (model) => {
          const sentences = {
            positive: sentencesFor(model, documents.positive, values),
            negative: sentencesFor(model, documents.negative, values),
            ...readingOf(values),
          };
          const both = [...sentences.positive, ...sentences.negative];
          await checkFiniteSentences(values.checkFinite, model, both, readingOf(values), context);
          const queued = values.queue !== undefined;
          const inputs = { model: source, out, weights, own: { method, site, layers, shrinkage, everywhere, queued } };
          const store = await openStore(inputs, model, sentences, context);
          const common = {
            ...sentences,
            site,
            ...defined({ name: values.name, shrinkage }),
            ...(everywhere && { everywhere }),
            sources: { positive: basename(values.positive), negative: basename(values.negative) },
            signal,
            store,
            onProgress: (done: number, total: number, kept: number) =>
              progress.count("measuring", { done, total, unit: "sentences", kept }),
          };
          const { library } = context;
          const fit = async (runner: Pick<DirectionOptions, "runner">): Promise<FittedDirection> =>
            layers === "auto"
              ? library.chooseLayer(model, method, { ...common, ...runner, ...defined({ klBound: values.klBound }) })
              : { bundle: await library.fitDirection(model, method, { ...common, ...runner, layers }) };
          const work = withRunner({ ...values, plan: "reference" }, context, fit, { weights, store });
          return { ...(await progress.during("measuring", store.during(work))), store, device: model.device.name };
        },
      );
      await file.write(writeFitted(bundle, weights));
      await store.remove();
      const norms = normsOf(bundle);
      const ids = bundle.manifest.stages.map(({ id }) => id);
      if (values.json) {
        const choice = table && { chosen: norms[0]?.layer, table };
        stdout.write(
          `${JSON.stringify({ id: ids[0], ...(everywhere && { ids }), layers: norms, ...choice, run: context.record(device) })}\n`,
        );
      } else {
        if (table) stdout.write(choiceTable(table, norms[0]?.layer));
        const rows = norms.map(
          ({ layer, direction_norm }) => `  ${String(layer).padStart(5)}   ${direction_norm.toFixed(4)}\n`,
        );
        stdout.write(
          `  layer   ‖r⁺ − r⁻‖\n${rows.join("")}\n${values.out} written: ${ids.length > 1 ? "stages" : "stage"} ${ids.join(", ")}\n`,
        );
      }
    },
  });

interface FittedDirection {
  readonly bundle: Bundle;
  /** The table of layers for `--layers auto`. */
  readonly table?: readonly JudgedLayer[];
}

function choiceTable(table: readonly JudgedLayer[], chosen: number | undefined): string {
  const rows = table.map(({ layer, effect, cost }) => {
    const mark = layer === chosen ? "  chosen" : "";
    return `  ${String(layer).padStart(5)}   ${effect.toFixed(4).padStart(8)}   ${cost.toFixed(4).padStart(8)}${mark}\n`;
  });
  return `  layer     effect       cost   KL on held-out positive and negative sentences, nats per token\n${rows.join("")}\n`;
}

function normsOf({
  tensors,
  manifest,
}: Bundle): readonly { readonly layer: number; readonly direction_norm: number }[] {
  const norms = [...tensors].flatMap(([key, tensor]) => {
    const place = layerTensorNamed(key);
    if (place?.name !== "direction" && place?.name !== "u") return [];
    return [{ layer: place.layer, direction_norm: Math.hypot(...toFloat32(tensor)) }];
  });
  // One direction, whose copies act in all layers.
  const { everywhere } = (manifest.fit ?? {}) as { readonly everywhere?: { readonly layer: number } };
  return everywhere ? norms.slice(0, 1).map((norm) => ({ ...norm, layer: everywhere.layer })) : norms;
}

interface LayerOptions {
  readonly layer: "auto" | number | undefined;
  readonly layers: "all" | "auto" | readonly number[] | undefined;
  readonly klBound: number | undefined;
  readonly everywhere?: boolean;
}

/** The layers that were asked for; of an edit everywhere the one layer, chosen by default. */
function layersOf({ layer, layers, everywhere = false }: LayerOptions): "all" | "auto" | readonly number[] {
  if (typeof layer === "number") return [layer];
  return layer ?? layers ?? (everywhere ? "auto" : "all");
}

function checkLayers(options: LayerOptions): void {
  const { layer, layers: given, klBound, everywhere = false } = options;
  if (layer !== undefined && given !== undefined) {
    throw new SluiceError("usage", "--layer and --layers were given: which one?", { hint: "Leave one of them out." });
  }
  const layers = layersOf(options);
  if (everywhere && (layers === "all" || (layers !== "auto" && layers.length !== 1))) {
    throw new SluiceError("usage", "--everywhere removes one layer's direction, and --layers names several layers", {
      hint: "Write --layer 7, or --layer auto.",
    });
  }
  if (klBound !== undefined && layers !== "auto") {
    throw new SluiceError("usage", "--kl-bound applies only with --layer auto", {
      hint: "Write --layer auto, or leave --kl-bound out.",
    });
  }
}

export const fitAce = describe("ace");
export const fitAblation = describe("ablation");
export const fitAddition = describe("addition");
export const fitLeace = describe("leace");
