/** `sluice perplexity` */
import { SluiceError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import type { CommandContext, LoadedModel } from "../context.ts";
import { defined } from "../defined.ts";
import { type Document, readDocuments } from "../documents.ts";
import { flag, name, optional, required, wholeNumber } from "../options.ts";
import { modelArgument, modelOptions, toTokens, withModel } from "./model.ts";

export const perplexity = defineCommand({
  name: "perplexity",
  summary: "Measure how well the model predicts texts",
  description: [
    "Prints the perplexity: the exponential of the mean negative log-likelihood over all predicted tokens of all texts. " +
      "Each text is predicted by itself, from its second token on.",
    "Texts longer than the model's context are read through a window that moves by --stride tokens.",
  ],
  positionals: { model: modelArgument },
  options: {
    file: required("FILE", 'One text; or .jsonl with {"text": …} or {"tokens": …} a line', name),
    prependBos: flag("Put the BOS token before each text, so that its first token is predicted too"),
    maxTokens: optional("N", "Use the first N tokens of each text, BOS not counted", wholeNumber(1)),
    maxTexts: optional("N", "Use the first N texts", wholeNumber(1)),
    stride: optional("S", "How far the window moves on a long text (default half the context)", wholeNumber(1)),
    json: flag("Print {perplexity, nll, tokens}"),
    ...modelOptions,
  },
  examples: [
    {
      line: "perplexity weights/gpt2-stories --file test/data/tales.jsonl --prepend-bos --max-tokens 120 --max-texts 50",
      shows: "The beginnings of fifty tales:",
    },
  ],
  async run(values, context) {
    const texts = (await readDocuments(values.file, context.signal)).slice(0, values.maxTexts);
    const result = await withModel(values, context, (model) => {
      const documents = tokenize(model, texts, values, context);
      return model.perplexity(documents, {
        ...defined({ stride: values.stride }),
        signal: context.signal,
        onProgress: (done, total) => context.progress.update("predicting", `${done} of ${total} tokens`),
      });
    });
    context.progress.clear();
    const { perplexity: value, nll, tokens } = result;
    context.stdout.write(
      values.json
        ? `${JSON.stringify({ perplexity: value, nll, tokens })}\n`
        : `perplexity  ${value.toFixed(4)}\nnll         ${nll.toFixed(6)} nats a token\ntokens      ${tokens}\n`,
    );
  },
});

interface Cutting {
  readonly prependBos: boolean;
  readonly maxTokens: number | undefined;
}

/** The texts as ids, cut and with BOS as asked; those that leave nothing to predict are dropped and mentioned. */
function tokenize(
  model: LoadedModel,
  texts: readonly Document[],
  { prependBos, maxTokens }: Cutting,
  context: CommandContext,
): readonly (readonly number[])[] {
  const before = prependBos ? [bosOf(model)] : [];
  const documents = texts.map((text) => {
    return [...before, ...toTokens(model, text, { addSpecialTokens: false }).slice(0, maxTokens)];
  });
  const useful = documents.filter((tokens) => tokens.length >= 2);
  const dropped = documents.length - useful.length;
  if (useful.length === 0) {
    throw new SluiceError("bad_tokens", "There is no token to predict: every text is shorter than two tokens", {
      hint: prependBos ? "Give a file that holds text." : "Give longer texts, or put a BOS before each with --prepend-bos.",
    });
  }
  if (dropped > 0) context.note(`${dropped} of ${documents.length} texts skipped: shorter than two tokens`);
  return useful;
}

function bosOf({ tokenizer, config }: LoadedModel): number {
  const bos = tokenizer?.bosTokenId ?? config.bos_token_id;
  if (bos !== undefined) return bos;
  throw new SluiceError("usage", "--prepend-bos: neither the tokenizer nor config.json names a BOS token", {
    hint: "Leave the option out, or write the ids into a .jsonl file with the token you want in front.",
  });
}
