/** `sluice generate` */
import { SluiceError } from "../../errors.ts";
import type { GenerateOptions, GenerateResult, Model } from "../../index.ts";
import { defineCommand, optionalArgument } from "../command.ts";
import type { CommandContext, InputStream } from "../context.ts";
import { readPrompts } from "../documents.ts";
import { decimal, flag, name, optional, repeated, text, tokenIds, wholeNumber, withDefault } from "../options.ts";
import { modelArgument, modelOptions, withModel } from "../with-model.ts";

export const generate = defineCommand({
  name: "generate",
  summary: "Continue a text or a sequence of token ids",
  description: [
    "Continues PROMPT and streams the text that follows. Without PROMPT it is read from standard input. With --tokens, ids go in and ids come out, and no tokenizer is needed.",
  ],
  positionals: { model: modelArgument, prompt: optionalArgument("text to continue") },
  options: {
    tokens: optional(
      "IDS",
      "Token ids between commas in place of a text, taken as they are: no BOS is added",
      tokenIds,
    ),
    batch: optional("FILE", "Continue many prompts side by side: one a line, or .jsonl with text or tokens", name),
    maxNewTokens: withDefault("N", "Most tokens to generate", wholeNumber(1), 128),
    temperature: withDefault("T", "0 takes the most likely token", decimal({ min: 0 }), 0),
    topK: optional("K", "Keep the K most likely tokens", wholeNumber(0)),
    topP: optional(
      "P",
      "Keep the most likely tokens that together reach probability P",
      decimal({ min: 0, max: 1, aboveMin: true }),
    ),
    minP: optional("P", "Keep tokens at least P times as likely as the most likely one", decimal({ min: 0, max: 1 })),
    repetitionPenalty: optional(
      "R",
      "Make tokens that already occurred less likely (above 1)",
      decimal({ min: 0, aboveMin: true }),
    ),
    seed: optional("S", "Draws the same tokens again; without it every run differs", wholeNumber(0)),
    stop: repeated("TEXT", "Stop before this text", text),
    stopToken: repeated("ID", "Stop at this token", wholeNumber(0)),
    context: optional("N", "Positions of the KV cache", wholeNumber(1)),
    json: flag("Print one JSON object with prompt_tokens, tokens, text and timings"),
    ...modelOptions,
  },
  examples: [
    { line: 'generate weights/stories260K "Once upon a time"', shows: "Continue a text:" },
    { line: "generate weights/gpt-nano-sort --tokens 2,0,1,1,0,2 --max-new-tokens 6", shows: "Continue token ids:" },
  ],
  async run(values, context) {
    const given = [values.prompt, values.tokens, values.batch].filter((value) => value !== undefined).length;
    if (given > 1) throw new SluiceError("usage", "PROMPT, --tokens and --batch exclude each other");
    const options: GenerateOptions = {
      maxNewTokens: values.maxNewTokens,
      temperature: values.temperature,
      stop: values.stop,
      stopTokens: values.stopToken,
      signal: context.signal,
      ...(values.topK !== undefined && { topK: values.topK }),
      ...(values.topP !== undefined && { topP: values.topP }),
      ...(values.minP !== undefined && { minP: values.minP }),
      ...(values.repetitionPenalty !== undefined && { repetitionPenalty: values.repetitionPenalty }),
      ...(values.seed !== undefined && { seed: values.seed }),
      ...(values.context !== undefined && { context: values.context }),
    };
    if (values.batch !== undefined) {
      const prompts = await readPrompts(values.batch);
      await withModel(context, values.model, values, async (model) => {
        const results = await model.generateBatch(prompts, options);
        printBatch(results, prompts, values.json, context);
      });
      return;
    }
    const prompt = values.tokens ?? values.prompt ?? (await readInput(context.stdin));
    await withModel(context, values.model, values, (model) =>
      generateOne(model, prompt, options, values.json, context),
    );
  },
});

async function generateOne(
  model: Model,
  prompt: string | readonly number[],
  options: GenerateOptions,
  json: boolean,
  { stdout, progress }: CommandContext,
): Promise<void> {
  const generation = model.generate(prompt, options);
  if (json) {
    stdout.write(`${JSON.stringify(reported(await generation.result()))}\n`);
    return;
  }
  const isText = typeof prompt === "string";
  let written = 0;
  try {
    for await (const { token, text: piece } of generation) {
      progress.clear();
      stdout.write(isText ? (piece ?? "") : `${written > 0 ? " " : ""}${token}`);
      written++;
    }
  } finally {
    if (written > 0) stdout.write("\n");
  }
}

function printBatch(
  results: readonly GenerateResult[],
  prompts: readonly (string | readonly number[])[],
  json: boolean,
  { stdout }: CommandContext,
): void {
  if (json) {
    stdout.write(`${JSON.stringify({ results: results.map(reported) })}\n`);
    return;
  }
  results.forEach(({ tokens, text: continued }, i) => {
    stdout.write(`${typeof prompts[i] === "string" ? continued : tokens.join(" ")}\n`);
  });
}

function reported({ prompt_tokens, tokens, text: continued, finish, seed, timings }: GenerateResult): object {
  return { prompt_tokens, tokens, text: continued, finish, ...(seed !== null && { seed }), timings };
}

async function readInput(stdin: InputStream): Promise<string> {
  let input = "";
  if (!stdin.isTTY) {
    const decoder = new TextDecoder();
    for await (const chunk of stdin)
      input += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    input = (input + decoder.decode()).replace(/\r?\n$/, "");
  }
  if (input !== "") return input;
  throw new SluiceError("usage", "There is nothing to continue", {
    hint: "Give a PROMPT, --tokens IDS, or a text on standard input.",
  });
}
