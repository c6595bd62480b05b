/** `sluice quantize` */
import type { QuantizeReport } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { flag, name, oneOf, required } from "../options.ts";
import { formatBytes, modelArgument } from "./model.ts";

export const quantize = defineCommand({
  name: "quantize",
  summary: "Write a model with quantised weights",
  description: [
    "Writes a folder that every command takes as a MODEL. Linear weights and the token embedding are kept as whole " +
      "numbers of 8 or 4 bits with a float16 scale for each 32 inputs; positions, norms and biases stay as they are. " +
      "The results are those of --quantize, which does the same at load.",
    "Prints how far the weights moved: the root mean square relative to the weights', and the largest difference " +
      "relative to the largest weight of its block.",
  ],
  positionals: { model: modelArgument },
  options: {
    to: required("FORMAT", "q8, about 0.27 of float32, or q4, about 0.14", oneOf("q8", "q4")),
    out: required("DIR", "A new folder, or an empty one", name),
    json: flag("Print one JSON object with format, rms, max, bytes and matrices"),
  },
  examples: [{ line: "quantize weights/gpt2-stories --to q4 --out gpt2-stories-q4", shows: "Four bits a weight:" }],
  async run({ model, to, out, json }, { library, progress, signal, stdout }) {
    const work = library.quantize(model, {
      to,
      out,
      signal,
      onProgress: (done, total) =>
        progress.update("quantising", `${Math.floor((100 * done) / total)} % of ${formatBytes(total)}`),
    });
    const report = await progress.during("quantising", work);
    stdout.write(json ? `${JSON.stringify(report)}\n` : describe(report, out));
  },
});

function describe({ format, matrices, rms, max, bytes }: QuantizeReport, out: string): string {
  const width = Math.max(...matrices.map((matrix) => matrix.name.length));
  const line = (label: string, error: { readonly rms: number; readonly max: number }): string =>
    `${label.padEnd(width)}  rms ${percent(error.rms)}  max ${percent(error.max)}\n`;
  const ratio = (bytes.after / bytes.float32).toFixed(3);
  return [
    ...matrices.map((matrix) => line(matrix.name, matrix)),
    line("all", { rms, max }),
    `${out}: ${format}, ${formatBytes(bytes.after)}, ${ratio} of float32\n`,
  ].join("");
}

function percent(value: number): string {
  return `${(100 * value).toFixed(3).padStart(7)} %`;
}
