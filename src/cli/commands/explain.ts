/** `sluice explain` */
import { defineCommand } from "../command.ts";
import { modelArgument, modelOptions, withModel } from "./model.ts";

export const explain = defineCommand({
  name: "explain",
  summary: "Print a model's graph, plan, buffers and shaders",
  description: [
    "Prints how the model runs: the graph with its named sites, the plan it is compiled to, the buffers, and the WGSL " +
      "of every kernel as it is given to the GPU.",
  ],
  positionals: { model: modelArgument },
  options: modelOptions,
  examples: [{ line: "explain weights/stories260K | less", shows: "From the graph to the shaders:" }],
  async run(values, context) {
    const text = await withModel(values, context, (model) => {
      return context.progress.during("making the plan", model.explain());
    });
    context.stdout.write(`${text.trimEnd()}\n`);
  },
});
