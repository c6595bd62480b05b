/** `sluice info` */
import { SluiceError } from "../../errors.ts";
import type { ModelFootprint, WeightFootprint } from "../../index.ts";
import { left, printable, right, table } from "../columns.ts";
import { defineCommand, optionalArgument } from "../command.ts";
import { defined } from "../defined.ts";
import { flag, optional, wholeNumber } from "../options.ts";
import { formatSize } from "../pace.ts";
import { adapterOption, modelOptions } from "./model.ts";

export const info = defineCommand({
  name: "info",
  summary: "Say what would run a model here, and how large a model is before it is loaded",
  description: [
    "Without MODEL: lists real GPUs and software drivers, says which one would run a model and why, and what it can do.",
    "With MODEL: its parameters, the size of its download, and the GPU memory for its weights and its cache, as they are " +
      "stored and quantised; and whether the device's limits hold them. Only the beginnings of files are read. How much " +
      "memory a GPU has is not known to a program.",
  ],
  positionals: { model: optionalArgument("a folder, web address or id, as for the other commands") },
  options: {
    json: flag("Print one JSON object"),
    adapter: adapterOption,
    plan: modelOptions.plan,
    context: optional("N", "Positions that the cache holds; default: the model's, at most 2048", wholeNumber(1)),
    sequences: optional("N", "Sequences in the cache; default 1", wholeNumber(1)),
  },
  examples: [
    { line: "info", shows: "What would run a model here:" },
    { line: "info weights/stories260K --context 512", shows: "How much memory a model takes:" },
  ],
  async run({ json, adapter, model, plan, context, sequences }, { library, progress, stdout, signal, note }) {
    if (model === undefined) {
      if (plan !== undefined || context !== undefined || sequences !== undefined) {
        throw new SluiceError("usage", "--plan, --context and --sequences are about a model, and none is named", {
          hint: "Name one: sluice info MODEL --context N.",
        });
      }
      const { data, text } = await progress.during("asking for adapters", library.info(defined({ adapter })));
      stdout.write(json ? `${JSON.stringify(data)}\n` : text);
      return;
    }
    const options = {
      ...defined({ adapter, plan, context, sequences }),
      signal,
      onNotice: (text: string) => note(text),
    };
    const footprint = await progress.during("measuring the model", library.measureModel(model, options));
    stdout.write(json ? `${JSON.stringify(footprint)}\n` : footprintText(footprint));
  },
});

function footprintText(footprint: ModelFootprint): string {
  const { model, model_type, parameters, stored, download_bytes, context, sequences, weights, device } = footprint;
  const many = sequences === 1 ? "" : ` for each of ${sequences} sequences`;
  const rows = weights.map((each) => [
    each.format === "stored" ? `as stored (${printable(stored)})` : `--quantize ${each.format}`,
    formatSize(each.weight_bytes),
    formatSize(footprint.cache_bytes),
    formatSize(footprint.activation_bytes),
    formatSize(each.gpu_bytes),
    verdict(each),
  ]);
  const columns = [
    left("weights"),
    right("weights"),
    right("cache"),
    right("other"),
    right("GPU memory"),
    left("fits"),
  ];
  const problems = new Set(weights.flatMap(({ problem }) => (problem === null ? [] : [problem])));
  return [
    `${printable(model)}: ${printable(model_type)}, ${inMillions(parameters)} parameters, ${formatSize(download_bytes)} to download`,
    `Memory with a cache of ${context} positions${many}, on ${device ?? "no device"}:`,
    "",
    `${table(columns, rows)}${[...problems].map((problem) => `\n${problem}\n`).join("")}`,
  ].join("\n");
}

function verdict({ fits }: WeightFootprint): string {
  if (fits === null) return "unknown";
  return fits ? "yes" : "no";
}

function inMillions(count: number): string {
  return count < 1e9 ? `${(count / 1e6).toFixed(count < 1e7 ? 2 : 0)} million` : `${(count / 1e9).toFixed(2)} billion`;
}
