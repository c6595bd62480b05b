/** `sluice quantize` */
import type { MovedWeights } from "../../model/quantize-model.ts";
import { defineCommand } from "../command.ts";
import { fetchModel } from "../fetch-model.ts";
import { prepareOutFolder, writeModelFolder } from "../model-folder.ts";
import { flag, name, oneOf, output, required } from "../options.ts";
import { formatBytes } from "../pace.ts";
import { modelArgument } from "./model.ts";

export const quantize = defineCommand({
  name: "quantize",
  summary: "Write a model with quantised weights",
  description: [
    "Writes a folder that every command that runs a model takes as MODEL. Linear weights and the token embedding are " +
      "kept as whole numbers of 8 or 4 bits with a float16 scale per 32 inputs; positions, norms and biases stay " +
      "as they are. The model computes the same as the float model loaded with --quantize.",
    "mlx8 and mlx4 write MLX's layout instead, a scale and an offset per 64 inputs, which MLX runs too.",
    "Prints how far the weights moved: the root mean square relative to the weights', and the largest difference " +
      "relative to the largest weight of its block.",
  ],
  positionals: { model: modelArgument },
  options: {
    to: required(
      "FORMAT",
      "q8, about 0.27 of float32, or q4, about 0.14; mlx8 or mlx4, the same sizes in MLX's layout",
      oneOf("q8", "q4", "mlx8", "mlx4"),
    ),
    out: output(required("FOLDER", "The folder to write, which must be new or empty", name)),
    json: flag("Print one JSON object with format, rms, max, bytes, float32_bytes and matrices"),
  },
  examples: [{ line: "quantize weights/gpt2-stories --to q4 --out gpt2-stories-q4", shows: "Four bits per weight:" }],
  async run({ model, to, out, json }, context) {
    const { progress, signal, stdout } = context;
    await prepareOutFolder(out);
    await fetchModel(model, context);
    const { quantizeModel } = await import("../../model/quantize-model.ts");
    const quantized = await quantizeModel(model, to, { signal });
    const { bytes, float32_bytes } = quantized;
    try {
      const show = (done: number, total: number): void => progress.count("quantising", { done, total, unit: "bytes" });
      await writeModelFolder(out, quantized, show, signal);
    } finally {
      await quantized.close();
    }
    const { rms, max, matrices } = quantized.moved();
    if (json) {
      stdout.write(`${JSON.stringify({ format: to, rms, max, bytes, float32_bytes, matrices })}\n`);
      return;
    }
    for (const line of table([...matrices, { name: "all", rms, max }])) stdout.write(`${line}\n`);
    const ratio = (bytes / float32_bytes).toFixed(3);
    stdout.write(`${out}: ${to}, ${formatBytes(bytes)}, ${ratio} of float32\n`);
  },
});

function table(matrices: readonly (MovedWeights & { readonly name: string })[]): readonly string[] {
  const width = Math.max(...matrices.map((matrix) => matrix.name.length));
  return matrices.map(
    (matrix) => `${matrix.name.padEnd(width)}  rms ${percent(matrix.rms)}  max ${percent(matrix.max)}`,
  );
}

function percent(value: number): string {
  return `${(100 * value).toFixed(3).padStart(7)} %`;
}
