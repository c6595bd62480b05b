/** `sluice fit ace`, `sluice fit ablation`, `sluice fit addition` */
import { basename } from "node:path";
import { SluiceError } from "../../errors.ts";
import { toFloat32 } from "../../formats/safetensors.ts";
import type { DirectionMethod } from "../../index.ts";
import { type Bundle, writeBundle } from "../../interventions/bundle.ts";
import { affineSites } from "../../interventions/stage.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { flag, name, oneOf, optional, type Parser, required, withDefault } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { classOptions, encodeAll, readClasses } from "../sentences.ts";
import { timeLeft } from "./fit-aura.ts";
import { fitModelOptions, modelArgument, withModel } from "./model.ts";

export const layerList: Parser<"all" | readonly number[]> = (given, option) => {
  if (given === "all") return "all";
  const layers = given.split(",").map((part) => (/^\d+$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (layers.every(Number.isSafeInteger)) return layers;
  throw new SluiceError("usage", `${option}: "${given}" names no layers`, { hint: "Write all, 7, or 3,4,5." });
};

const summaries: Readonly<Record<DirectionMethod, string>> = {
  ace: "Fit a bundle that moves activations along what tells two classes apart, to a chosen point",
  ablation: "Fit a bundle that takes the direction between two classes out of activations",
  addition: "Fit a bundle that adds the direction between two classes to activations",
};

const describe = (method: DirectionMethod) =>
  defineCommand({
    name: `fit ${method}`,
    summary: summaries[method],
    description: [
      "Takes the mean activation at the last token of the sentences of either class; the direction is their difference, " +
        "and for ace the reference is the negative mean. The bundle has one stage, with the class means beside it." +
        (method === "ablation" ? "" : " Its alpha is live: --param ID.alpha=A; 1 moves to the positive class."),
      "Sentences given as tokens are taken exactly as they are; texts get the special tokens that the tokenizer adds.",
    ],
    positionals: { model: modelArgument },
    options: {
      ...classOptions,
      site: withDefault("SITE", "Where", oneOf(...affineSites), "resid_post"),
      layers: withDefault("LAYERS", "all, or layers such as 7 or 3,4,5", layerList, "all"),
      name: optional("NAME", "What the bundle is called", name),
      out: required("FILE", "The bundle to write", name),
      json: flag("Print one JSON object"),
      ...fitModelOptions,
    },
    examples: [
      {
        line: `fit ${method} weights/gpt2-stories --positive test/data/plays.jsonl --negative test/data/tales.jsonl --max-tokens 24 --out ${method}.safetensors`,
        shows: "The direction from stories to plays:",
      },
    ],
    async run(values, context) {
      const { progress, signal, stdout } = context;
      const documents = await readClasses(values, context);
      const file = await prepareOutFile(values.out);
      const bundle = await withModel({ ...values, plan: "reference" }, context, async (model) => {
        const started = performance.now();
        const work = context.library.fitDirection(model, method, {
          positive: encodeAll(model, documents.positive, values.maxTokens),
          negative: encodeAll(model, documents.negative, values.maxTokens),
          site: values.site,
          layers: values.layers,
          ...defined({ name: values.name }),
          sources: { positive: basename(values.positive), negative: basename(values.negative) },
          signal,
          onProgress: (done, total) => progress.update("measuring", timeLeft(done, total, started)),
        });
        return progress.during("measuring", work);
      });
      await file.write(writeBundle(bundle));
      const norms = normsOf(bundle);
      if (values.json) stdout.write(`${JSON.stringify({ id: bundle.manifest.stages[0]?.id, layers: norms })}\n`);
      else {
        const rows = norms.map(
          ({ layer, direction_norm }) => `  ${String(layer).padStart(5)}   ${direction_norm.toFixed(4)}\n`,
        );
        stdout.write(
          `  layer   ‖r⁺ − r⁻‖\n${rows.join("")}\n${values.out} written: stage ${bundle.manifest.stages[0]?.id}\n`,
        );
      }
    },
  });

function normsOf({ tensors }: Bundle): readonly { readonly layer: number; readonly direction_norm: number }[] {
  return [...tensors].flatMap(([key, tensor]) => {
    const layer = /\.(\d+)\.direction$/.exec(key)?.[1];
    if (layer === undefined) return [];
    return [{ layer: Number(layer), direction_norm: Math.hypot(...toFloat32(tensor)) }];
  });
}

export const fitAce = describe("ace");
export const fitAblation = describe("ablation");
export const fitAddition = describe("addition");
