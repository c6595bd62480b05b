/** `sluice explain` */
import type { ExplainPart } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { flag, flagOrWord, name, optional, wholeNumber } from "../options.ts";
import { editedOptions, modelArgument, tuneOptions, withEditedModel } from "./model.ts";

export const explain = defineCommand({
  name: "explain",
  summary: "Print a model's graph, plan, buffers and shaders",
  description: [
    "Prints what will run: the graph with its named sites, the dispatches with their kernels, the buffers, and the WGSL " +
      "of every kernel as the GPU gets it. --graph, --plan, --buffers and --kernel print these parts alone.",
  ],
  positionals: { model: modelArgument },
  options: {
    graph: flag("Print the graph"),
    plan: flagOrWord(
      "PLAN",
      "Print the plan. Followed by default, reference or f16-cache it chooses the plan to explain, as on other commands",
      ["default", "reference", "f16-cache"],
    ),
    buffers: flag("Print the buffers"),
    kernel: optional(
      "NAME",
      "Print the WGSL of the kernel of this name, or of those that have it in their names",
      name,
    ),
    context: optional("N", "Positions of the KV cache", wholeNumber(1)),
    ...withoutPlan(editedOptions),
    ...tuneOptions,
  },
  examples: [
    { line: "explain weights/stories260K", shows: "Everything about the small Llama:" },
    { line: "explain weights/stories260K --plan", shows: "Which kernels run in which order:" },
    { line: "explain weights/stories260K --kernel argmax", shows: "The shaders that take the likeliest token:" },
  ],
  async run(values, context) {
    const { graph, plan, buffers, kernel } = values;
    const parts: readonly ExplainPart[] = [
      ...(graph ? (["graph"] as const) : []),
      ...(plan.isFlag ? (["plan"] as const) : []),
      ...(buffers ? (["buffers"] as const) : []),
      ...(kernel === undefined ? [] : (["kernels"] as const)),
    ];
    const options = { ...defined({ context: values.context, kernel }), ...(parts.length > 0 && { parts }) };
    const choice = { ...values, plan: plan.word, promptLength: undefined };
    const text = await withEditedModel(choice, context, (model) => {
      return context.progress.during("making the plan", model.explain(options));
    });
    context.stdout.write(`${text.trim()}\n`);
  },
});

function withoutPlan<O extends { readonly plan: unknown }>({ plan: _, ...others }: O): Omit<O, "plan"> {
  return others;
}
