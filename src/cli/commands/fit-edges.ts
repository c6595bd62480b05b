/** `sluice fit edges` */
import { edgeFitDefaults } from "../../defaults.ts";
import { SluiceError } from "../../errors.ts";
import type { EdgeFitOptions } from "../../index.ts";
import { defineCommand } from "../command.ts";
import type { CommandContext, LoadedModel } from "../context.ts";
import { defined } from "../defined.ts";
import { readDocuments } from "../documents.ts";
import { decimal, flag, input, name, oneOf, optional, output, required, wholeNumber } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { checkFinite } from "./check-finite.ts";
import { fitModelOptions, fittedWeights, modelArgument, withModel, writeFitted } from "./model.ts";
import { documentsOf } from "./predicted-texts.ts";
import { queueOption, withRunner } from "./queue.ts";

export const fitEdges = defineCommand({
  name: "fit edges",
  summary: "Find a few edges to cut so that a model unlearns bad texts and keeps good ones",
  description: [
    "Cuts edges between blocks so that the loss rises on the bad texts and hardly changes on the good ones (Circuit Breaking), " +
      "and writes them as a bundle for --with. A quarter of the texts is held out for the report.",
    "attribution+greedy proposes edges by the gradient of the mask and decides by exact losses; masks is the paper's " +
      "learner, which steps a mask on every edge.",
  ],
  positionals: { model: modelArgument },
  options: {
    good: input(
      required(
        "FILE",
        "Texts that the model should still predict well: a text, or .jsonl with text or tokens per line",
        name,
      ),
    ),
    bad: input(required("FILE", "Texts that the model should unlearn, likewise", name)),
    out: output(required("FILE", "The bundle to write", name)),
    edges: optional("N", "Maximum number of edges that attribution+greedy cuts", wholeNumber(1), edgeFitDefaults.edges),
    start: input(
      optional("BUNDLE", "Result of an earlier fit; its edges stay cut, and more are searched for", name),
      "bundle",
    ),
    method: optional(
      "METHOD",
      "attribution+greedy or masks",
      oneOf("attribution+greedy", "masks"),
      edgeFitDefaults.method,
    ),
    destinations: optional(
      "KIND",
      "heads: one input for each head; qkv_groups: one for each query head, key and value group (default: heads, or " +
        "qkv_groups if heads share keys and values)",
      oneOf("heads", "qkv_groups"),
    ),
    replace: optional(
      "WHAT",
      "What replaces a cut source: its mean over the good texts, zero, or, as in the paper's code, the mean at attention " +
        "inputs and zero elsewhere",
      oneOf("mean", "zero", "paper"),
      edgeFitDefaults.replace,
    ),
    badWeight: optional(
      "W",
      "Weight of the bad loss relative to the good loss",
      decimal({ min: 0 }),
      edgeFitDefaults.badWeight,
    ),
    badCap: optional(
      "NATS",
      "Largest rise of the bad loss that counts, so that a large weight does not ruin the model (default: no limit)",
      decimal({ min: 0 }),
    ),
    shortlist: optional("K", "Candidates to try per edge", wholeNumber(1), edgeFitDefaults.shortlist),
    epochs: optional("N", "Steps of masks", wholeNumber(1), edgeFitDefaults.epochs),
    ramp: optional("R", "Final pull of masks towards 1, in nats per edge", decimal({ min: 0 }), edgeFitDefaults.ramp),
    prependBos: flag("Begin every text with the model's BOS token"),
    maxTokens: optional("N", "Take the first N tokens of each text (BOS not counted)", wholeNumber(2)),
    maxTexts: optional("N", "Take the first N texts of each file", wholeNumber(2)),
    json: flag("Print the report as one JSON object"),
    queue: queueOption,
    ...fitModelOptions,
  },
  examples: [
    {
      line:
        "fit edges weights/gpt2-stories --good test/data/tales.jsonl --bad test/data/plays.jsonl --max-tokens 24 " +
        "--max-texts 40 --edges 4 --out plays.safetensors",
      shows: "A storyteller that forgets Shakespeare:",
    },
  ],
  check({ method, edges, shortlist, epochs, ramp }) {
    const idle =
      method === "masks" ? { "--edges": edges, "--shortlist": shortlist } : { "--epochs": epochs, "--ramp": ramp };
    const [option] = Object.entries(idle).find(([, value]) => value !== undefined) ?? [];
    if (option === undefined) return;
    const other = method === "masks" ? "attribution+greedy" : "masks";
    throw new SluiceError("usage", `${option} applies only to --method ${other}`, {
      hint: `Leave it out, or write --method ${other}.`,
    });
  },
  async run(values, context) {
    const { library, signal, progress, stdout } = context;
    const [good, bad] = await Promise.all([readDocuments(values.good, signal), readDocuments(values.bad, signal)]);
    const start = values.start === undefined ? undefined : await library.loadBundle(values.start, { signal });
    const file = await prepareOutFile(values.out);
    const weights = await fittedWeights(values, context);
    await withModel({ ...values, plan: "reference" }, context, async (model) => {
      const texts = { good: tokensOf(model, good, values, context), bad: tokensOf(model, bad, values, context) };
      await checkFinite(values.checkFinite, model, [...texts.good, ...texts.bad], undefined, context);
      const fit = (runner: Pick<EdgeFitOptions, "runner">) =>
        library.fitEdges(model, {
          ...runner,
          ...texts,
          ...defined({
            start,
            edges: values.edges,
            method: values.method,
            destinations: values.destinations,
            replace: values.replace,
            badWeight: values.badWeight,
            badCap: values.badCap,
            shortlist: values.shortlist,
            epochs: values.epochs,
            ramp: values.ramp,
          }),
          signal,
          onProgress: (text) => progress.update("fitting edges", text),
        });
      const work = withRunner({ ...values, plan: "reference" }, context, fit, { weights });
      const { bundle, summary, edges, before, after, divergence } = await progress.during("fitting edges", work);
      await file.write(writeFitted(bundle, weights));
      if (values.json)
        return stdout.write(
          `${JSON.stringify({ summary, before, after, divergence, edges, run: context.record(model.device.name) })}\n`,
        );
      stdout.write(`${summary}\n`);
      const { bad: moved, good: kept } = divergence;
      stdout.write(`  KL to the whole model, nats per token: bad ${moved.toFixed(3)}, good ${kept.toFixed(3)}\n`);
      for (const { source, destination, alone } of edges) {
        const change = (kind: "good" | "bad") => signed(alone[kind] - before[kind]);
        stdout.write(`  ${source} → ${destination}: alone bad ${change("bad")}, good ${change("good")}\n`);
      }
    });
  },
});

type Choice = Parameters<typeof documentsOf>[2] & { readonly maxTexts: number | undefined };

function tokensOf(
  model: LoadedModel,
  documents: Awaited<ReturnType<typeof readDocuments>>,
  choice: Choice,
  context: CommandContext,
): readonly (readonly number[])[] {
  return documentsOf(model, documents.slice(0, choice.maxTexts), choice, context);
}

function signed(value: number): string {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
}
