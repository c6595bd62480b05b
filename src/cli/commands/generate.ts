/** `sluice generate` */
import { SluiceError } from "../../errors.ts";
import type { ComposedBundle, GenerateOptions } from "../../index.ts";
import { defineCommand } from "../command.ts";
import type { CommandContext, GenerationSummary, LoadedModel } from "../context.ts";
import { defined } from "../defined.ts";
import { type Document, readLines } from "../documents.ts";
import { flag, name, optional, wholeNumber, withDefault } from "../options.ts";
import { reportInterventions } from "./interventions.ts";
import { modelArgument, runOptions, tuneOptions, withEditedModel } from "./model.ts";
import { printStream } from "./print-stream.ts";
import { givenOrPipedPrompt, promptArgument, promptOptions } from "./prompt.ts";
import { samplingFrom, samplingOptions } from "./sampling.ts";

/** So many tokens take longer than choosing kernels does, on the devices where it matters. */
const LONG_TOKENS = 512;

export const generate = defineCommand({
  name: "generate",
  summary: "Continue a text or a sequence of token ids",
  description: [
    "Continues PROMPT and streams the text that follows. Without PROMPT it is read from standard input.",
    "With --tokens, ids go in and ids come out, and no tokenizer is needed; then only generation_config.json or " +
      "--stop-token stops it early. The stop id ends the ids and leaves no text.",
  ],
  positionals: { model: modelArgument, prompt: { ...promptArgument, help: "the text to continue" } },
  options: {
    ...promptOptions,
    batch: optional("FILE", "Continue many prompts side by side: one a line, or .jsonl with text or tokens", name),
    maxNewTokens: withDefault("N", "Most tokens to generate", wholeNumber(1), 128),
    ...samplingOptions,
    json: flag(
      "Print one JSON object with prompt_tokens, tokens, text, timings and interventions; of a batch, {results: […]}",
    ),
    ...runOptions,
    ...tuneOptions,
  },
  examples: [
    { line: 'generate weights/stories260K "Once upon a time"', shows: "Continue a text:" },
    {
      line: 'generate weights/gpt2-stories "One day" --temperature 0.8 --top-k 40 --seed 7',
      shows: "Draw the tokens, the same ones every time:",
    },
    { line: "generate weights/gpt-nano-sort --tokens 2,0,1,1,0,2 --max-new-tokens 6", shows: "Continue token ids:" },
  ],
  async run(values, context) {
    const { batch, maxNewTokens, json } = values;
    if (batch !== undefined && (values.prompt !== undefined || values.tokens !== undefined)) {
      throw new SluiceError("usage", "--batch reads the prompts from its file: no other prompt goes with it");
    }
    const options: GenerateOptions = {
      ...samplingFrom(values, context),
      ...defined({ context: values.context, promptLength: values.promptLength }),
      maxNewTokens,
    };
    const prompt = batch === undefined ? await givenOrPipedPrompt(values, context) : undefined;
    const prompts = batch === undefined ? [] : await readLines(batch, "prompt", context.signal);
    const long = maxNewTokens * Math.max(1, prompts.length) >= LONG_TOKENS;
    await withEditedModel({ ...values, long }, context, (model, loadMs, bundles) => {
      const task = { options, json, loadMs, bundles };
      return prompt === undefined ? runBatch(model, prompts, task, context) : runOne(model, prompt, task, context);
    });
  },
});

interface Task {
  readonly options: GenerateOptions;
  readonly json: boolean;
  readonly loadMs: number;
  readonly bundles: readonly ComposedBundle[];
}

async function runOne(
  model: LoadedModel,
  prompt: Document,
  { options, json, loadMs, bundles }: Task,
  context: CommandContext,
): Promise<void> {
  const { progress, stdout } = context;
  const generation = model.generate(prompt, options);
  if (json) {
    const result = await progress.during("generating", generation.result());
    stdout.write(`${JSON.stringify({ ...reported(result, loadMs), ...inForce(bundles, model) })}\n`);
    return;
  }
  let count = 0;
  await printStream(generation, context, ({ token, text }) => {
    if (typeof prompt === "string") return text ?? "";
    return count++ === 0 ? `${token}` : ` ${token}`;
  });
}

async function runBatch(
  model: LoadedModel,
  prompts: readonly Document[],
  { options, json, loadMs, bundles }: Task,
  { progress, stdout }: CommandContext,
): Promise<void> {
  const label = `generating from ${prompts.length} prompts`;
  const results = await progress.during(label, model.generateBatch(prompts, options));
  if (json) {
    const all = results.map((result) => reported(result, loadMs));
    stdout.write(`${JSON.stringify({ results: all, ...inForce(bundles, model) })}\n`);
    return;
  }
  results.forEach(({ tokens, text }, index) => {
    stdout.write(`${typeof prompts[index] === "string" ? text : tokens.join(" ")}\n`);
  });
}

function reported(result: GenerationSummary, loadMs: number): object {
  const { prompt_tokens, tokens, text, finish, changes, seed, timings } = result;
  return {
    prompt_tokens,
    tokens,
    text,
    finish,
    ...(changes.length > 0 && { changes }),
    ...(seed !== null && { seed }),
    timings: { load_ms: loadMs, ...timings },
  };
}

function inForce(bundles: readonly ComposedBundle[], { stages }: LoadedModel): object {
  return bundles.length > 0 ? { interventions: reportInterventions(bundles, stages) } : {};
}
