/** `sluice explain` */
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { optional, wholeNumber } from "../options.ts";
import { editedOptions, modelArgument, tuneOptions, withEditedModel } from "./model.ts";

export const explain = defineCommand({
  name: "explain",
  summary: "Print a model's graph, plan, buffers and shaders",
  description: [
    "Prints what will run: the graph with its named sites, the dispatches with their kernels, the buffers, and the WGSL " +
      "of every kernel as the GPU gets it.",
  ],
  positionals: { model: modelArgument },
  options: { context: optional("N", "Positions of the KV cache", wholeNumber(1)), ...editedOptions, ...tuneOptions },
  examples: [{ line: "explain weights/stories260K", shows: "Everything about the small Llama:" }],
  async run(values, context) {
    const text = await withEditedModel({ ...values, promptLength: undefined }, context, (model) => {
      return context.progress.during("making the plan", model.explain(defined({ context: values.context })));
    });
    context.stdout.write(`${text.trim()}\n`);
  },
});
