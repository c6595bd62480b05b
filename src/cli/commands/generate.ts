/** `sluice generate` */
import { SluiceError } from "../../errors.ts";
import type { GenerateOptions, GenerateResult } from "../../index.ts";
import { defineCommand } from "../command.ts";
import type { CommandContext, LoadedModel, RunningGeneration } from "../context.ts";
import { type Document, readPrompts } from "../documents.ts";
import { flag, name, optional, wholeNumber, withDefault } from "../options.ts";
import { modelArgument, modelOptions, withModel } from "./model.ts";
import { choosePrompt, promptArgument, promptOptions } from "./prompt.ts";
import { generateOptions, samplingOptions } from "./sampling.ts";

export const generate = defineCommand({
  name: "generate",
  summary: "Continue a prompt and print the text as it comes",
  description: [
    "Continues the prompt and prints what the model writes, the prompt itself left out.",
    "Of ids given with --tokens the new ids are printed, between spaces, and no tokenizer is needed. They are " +
      "continued until generation_config.json or --stop-token says stop; a text also until the end-of-text id of " +
      "config.json. The stop id is among the printed ids and leaves no text.",
  ],
  positionals: { model: modelArgument, prompt: promptArgument },
  options: {
    maxNewTokens: withDefault("N", "Stop after N new tokens", wholeNumber(1), 128),
    ...samplingOptions,
    ...promptOptions,
    batch: optional(
      "FILE",
      'Continue every prompt of a file side by side: a text a line, or in .jsonl {"text": …} or {"tokens": …} a line',
      name,
    ),
    json: flag("Print one object: prompt_tokens, tokens, text, finish and timings; of a batch, {results: […]}"),
    ...modelOptions,
  },
  examples: [
    { line: 'generate weights/stories260K "Once upon a time"', shows: "Tell a story:" },
    {
      line: 'generate weights/gpt2-stories "One day" --temperature 0.8 --top-k 40 --seed 7 --max-new-tokens 60',
      shows: "Draw instead of taking the likeliest token, the same way every time:",
    },
    { line: "generate weights/gpt-nano-sort --tokens 2,0,1,1,2,0 --max-new-tokens 6", shows: "Ids in, ids out:" },
    {
      line: "generate weights/stories260K --batch prompts.txt --json",
      shows: "A prompt a line, the results for a program:",
    },
  ],
  async run(values, context) {
    const options: GenerateOptions = {
      ...generateOptions(values, context),
      maxNewTokens: values.maxNewTokens,
    };
    if (values.batch !== undefined) {
      if (values.prompt !== undefined || values.tokens !== undefined) {
        throw new SluiceError("usage", "--batch reads the prompts from a file: no other prompt goes with it");
      }
      const prompts = await readPrompts(values.batch, context.signal);
      await withModel(values, context, (model, loadMs) => runBatch(model, prompts, { ...values, options, loadMs }, context));
      return;
    }
    const prompt = await choosePrompt(values, context);
    await withModel(values, context, (model, loadMs) => runOne(model, prompt, { ...values, options, loadMs }, context));
  },
});

interface Task {
  readonly options: GenerateOptions;
  readonly json: boolean;
  readonly loadMs: number;
}

async function runOne(model: LoadedModel, prompt: Document, task: Task, context: CommandContext): Promise<void> {
  const generation = model.generate(prompt, task.options);
  if (task.json) {
    const result = await context.progress.during("generating", generation.result());
    context.stdout.write(`${JSON.stringify(withLoadTime(result, task.loadMs))}\n`);
  } else {
    await printAsItComes(generation, typeof prompt !== "string", context);
  }
}

async function printAsItComes(generation: RunningGeneration, asIds: boolean, context: CommandContext): Promise<void> {
  const { stdout, progress } = context;
  const tokens = generation[Symbol.asyncIterator]();
  try {
    let next = await progress.during("reading the prompt", tokens.next());
    for (let count = 0; !next.done; count++) {
      const { token, text } = next.value;
      stdout.write(asIds ? `${count > 0 ? " " : ""}${token}` : (text ?? ""));
      next = await tokens.next();
    }
  } finally {
    // Also when it was interrupted: what was printed stays, and the shell's prompt begins a line of its own.
    progress.clear();
    stdout.endLine();
  }
}

async function runBatch(
  model: LoadedModel,
  prompts: readonly Document[],
  { options, json, loadMs }: Task,
  { progress, stdout }: CommandContext,
): Promise<void> {
  const label = `generating from ${prompts.length} prompts`;
  const results = await progress.during(label, model.generateBatch(prompts, options));
  if (json) {
    stdout.write(`${JSON.stringify({ results: results.map((result) => withLoadTime(result, loadMs)) })}\n`);
    return;
  }
  results.forEach((result, index) => {
    const asIds = typeof prompts[index] !== "string" || result.text === null;
    stdout.write(`${asIds ? result.tokens.join(" ") : result.text}\n`);
  });
}

function withLoadTime(result: GenerateResult, loadMs: number): GenerateResult {
  return { ...result, timings: { load_ms: loadMs, ...result.timings } as GenerateResult["timings"] };
}
