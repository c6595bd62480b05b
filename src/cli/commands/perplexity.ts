/** `sluice perplexity` */
import { SluiceError } from "../../errors.ts";
import type { Model } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { type Document, readDocuments } from "../documents.ts";
import { flag, name, optional, required, wholeNumber } from "../options.ts";
import { modelArgument, modelOptions, tokenizerOf, withModel } from "../with-model.ts";

export const perplexity = defineCommand({
  name: "perplexity",
  summary: "Measure how well a model predicts texts",
  description: [
    "The exponential of the mean negative log-likelihood over all predicted tokens: all but the first of each text. A text longer than the model's context is measured through a moving window that predicts every token once.",
  ],
  positionals: { model: modelArgument },
  options: {
    file: required("FILE", "A text, measured as one document; or .jsonl with text or tokens, a document a line", name),
    prependBos: flag("Begin every document with the model's BOS token"),
    maxTokens: optional("N", "Take the first N tokens of each document (BOS not counted)", wholeNumber(1)),
    maxTexts: optional("N", "Take the first N documents", wholeNumber(1)),
    stride: optional("S", "How far the window moves on long documents (default: half the context)", wholeNumber(1)),
    json: flag("Print one JSON object with perplexity, nll and tokens"),
    ...modelOptions,
  },
  examples: [
    {
      line: "perplexity weights/gpt2-stories --file test/data/tales.jsonl --prepend-bos --max-tokens 120 --max-texts 50",
      shows: "Fifty tales:",
    },
  ],
  async run(values, context) {
    const documents = (await readDocuments(values.file)).slice(0, values.maxTexts);
    const result = await withModel(context, values.model, values, async (model) => {
      const encoded = documents.map((document) => prepare(document, model, values));
      const short = encoded.filter((tokens) => tokens.length < 2).length;
      if (short > 0 && short < encoded.length) {
        context.note(`${short} of ${encoded.length} texts are shorter than two tokens and predict nothing`);
      }
      return model.perplexity(encoded, {
        ...(values.stride !== undefined && { stride: values.stride }),
        signal: context.signal,
        onProgress: (done, total) => context.progress.update("measuring", `${done} of ${total} tokens`),
      });
    });
    if (values.json) context.stdout.write(`${JSON.stringify(result)}\n`);
    else
      context.stdout.write(
        `perplexity ${result.perplexity.toFixed(3)}  (nll ${result.nll.toFixed(4)} over ${result.tokens} tokens)\n`,
      );
  },
});

/** Ids of a document: cut, then headed by BOS where asked. The tokenizer adds none of its own, so that none is doubled. */
function prepare(
  document: Document,
  model: Model,
  { prependBos, maxTokens }: { readonly prependBos: boolean; readonly maxTokens: number | undefined },
): readonly number[] {
  const ids =
    typeof document === "string" ? tokenizerOf(model).encode(document, { addSpecialTokens: false }) : document;
  const cut = ids.slice(0, maxTokens);
  if (!prependBos) return cut;
  const bos = model.config.bos_token_id ?? model.tokenizer?.bosTokenId;
  if (bos === undefined)
    throw new SluiceError("usage", "--prepend-bos: neither config.json nor the tokenizer names a BOS token");
  return [bos, ...cut];
}
