/** `sluice chat` */
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { SluiceError, throwIfAborted } from "../../errors.ts";
import type { ChatMessage, GenerateOptions, Tokenizer } from "../../index.ts";
import { defineCommand } from "../command.ts";
import type { CommandContext, LoadedModel } from "../context.ts";
import { optional, text, wholeNumber, withDefault } from "../options.ts";
import { modelArgument, modelOptions, withModel } from "./model.ts";
import { generateOptions, samplingOptions } from "./sampling.ts";

const { context: contextOption, ...sampling } = samplingOptions;

export const chat = defineCommand({
  name: "chat",
  summary: "Talk with a model that has a chat template",
  description: [
    "Reads a message a line and prints the answers, until the input ends (Ctrl-D). The conversation is laid out by the " +
      "model's chat template; what has been said stays in the cache and is not computed again.",
  ],
  positionals: { model: modelArgument },
  options: {
    system: optional("TEXT", "A system message before the conversation", text),
    maxNewTokens: withDefault("N", "Longest answer in tokens", wholeNumber(1), 512),
    ...sampling,
    context: contextOption,
    ...modelOptions,
  },
  examples: [{ line: 'chat path/to/model --system "Answer in one sentence."', shows: "Ask and answer:" }],
  async run(values, context) {
    const options = { ...generateOptions(values, context), maxNewTokens: values.maxNewTokens };
    await withModel(values, context, async (model) => {
      const { tokenizer } = model;
      if (!tokenizer) {
        throw new SluiceError("bad_tokens", "This model's folder holds no tokenizer, so it cannot be talked with", {
          hint: "Add tokenizer.json and tokenizer_config.json, or use `sluice generate --tokens`.",
        });
      }
      const messages: ChatMessage[] = values.system === undefined ? [] : [{ role: "system", content: values.system }];
      // A model without a template is refused before anyone types a line.
      tokenizer.applyChatTemplate([...messages, { role: "user", content: "" }], { addGenerationPrompt: true });
      for await (const line of readLines(context)) {
        if (line.trim() === "") continue;
        messages.push({ role: "user", content: line });
        messages.push({ role: "assistant", content: await answer(model, tokenizer, messages, options, context) });
      }
    });
  },
});

/** Prints the model's answer as it comes, and returns it. */
async function answer(
  model: LoadedModel,
  tokenizer: Tokenizer,
  messages: readonly ChatMessage[],
  options: GenerateOptions,
  { progress, stdout }: CommandContext,
): Promise<string> {
  const prompt = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
  const tokens = tokenizer.encode(prompt, { addSpecialTokens: false });
}
