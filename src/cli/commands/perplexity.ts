/** `sluice perplexity` */
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { readDocuments } from "../documents.ts";
import { flag, input, name, optional, renamed, required, wholeNumber } from "../options.ts";
import { checkFinite, checkFiniteOption } from "./check-finite.ts";
import { modelArgument, runOptions, tuneOptions, withEditedModel } from "./model.ts";
import { documentsOf } from "./predicted-texts.ts";

export const perplexity = defineCommand({
  name: "perplexity",
  summary: "Measure how well a model predicts texts",
  description: [
    "Prints the exponential of the mean negative log-likelihood over all predicted tokens: all but the first of each " +
      "text. A text longer than the model's context is measured through a moving window that predicts every token once.",
  ],
  positionals: { model: modelArgument },
  options: {
    texts: renamed(
      input(
        required("FILE", "A text, measured as one document; or .jsonl with text or tokens, a document per line", name),
      ),
      "file",
    ),
    prependBos: flag("Begin every document with the model's BOS token"),
    maxTokens: optional("N", "Take the first N tokens of each document (BOS not counted)", wholeNumber(1)),
    maxTexts: optional("N", "Take the first N documents", wholeNumber(1)),
    stride: optional("S", "Tokens that the window moves on long documents (default: half the context)", wholeNumber(1)),
    json: flag("Print one JSON object with perplexity, nll and tokens"),
    checkFinite: checkFiniteOption,
    ...runOptions,
    ...tuneOptions,
  },
  examples: [
    {
      line: "perplexity weights/gpt2-stories --texts test/data/tales.jsonl --prepend-bos --max-tokens 120 --max-texts 50",
      shows: "The beginnings of fifty tales:",
    },
  ],
  async run(values, context) {
    const { progress, signal, stdout } = context;
    const texts = (await readDocuments(values.texts, signal)).slice(0, values.maxTexts);
    const result = await withEditedModel(values, context, async (model) => {
      const documents = documentsOf(model, texts, values, context);
      await checkFinite(values.checkFinite, model, documents, values.promptLength, context);
      const work = model.perplexity(documents, {
        ...defined({ stride: values.stride, promptLength: values.promptLength }),
        signal,
        onProgress: (done, total) => progress.count("measuring", { done, total, unit: "tokens" }),
      });
      return { ...(await progress.during("measuring", work)), device: model.device.name };
    });
    const { perplexity: value, nll, tokens, device } = result;
    stdout.write(
      values.json
        ? `${JSON.stringify({ perplexity: value, nll, tokens, run: context.record(device) })}\n`
        : `perplexity ${value.toFixed(3)}  (nll ${nll.toFixed(4)} over ${tokens} tokens)\n`,
    );
  },
});
