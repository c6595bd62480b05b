/** `sluice explain` */
import { defineCommand } from "../command.ts";
import { optional, wholeNumber } from "../options.ts";
import { modelArgument, modelOptions, withModel } from "../with-model.ts";

export const explain = defineCommand({
  name: "explain",
  summary: "Print a model's graph, plan, buffers and shaders",
  description: [
    "Prints what will run: the graph with its sites, the dispatches with their kernels, the buffers, and the linked WGSL.",
  ],
  positionals: { model: modelArgument },
  options: { context: optional("N", "Positions of the KV cache", wholeNumber(1)), ...modelOptions },
  examples: [{ line: "explain weights/stories260K", shows: "Everything about the small Llama:" }],
  async run(values, context) {
    const text = await withModel(context, values.model, values, (model) =>
      model.explain(values.context === undefined ? {} : { context: values.context }),
    );
    context.stdout.write(text);
  },
});
