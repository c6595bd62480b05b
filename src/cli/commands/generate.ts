/** `sluice generate` */
import { generateDefaults } from "../../defaults.ts";
import { SluiceError } from "../../errors.ts";
import type { ComposedBundle, GenerateOptions, Model } from "../../index.ts";
import { type GenerateInput, generated, SHARD_PROMPTS } from "../../shards/generated.ts";
import { inProcess, labelOf, type Shard, type ShardRunner } from "../../shards/shards.ts";
import { defineCommand } from "../command.ts";
import type { CommandContext, GenerationSummary, LoadedModel } from "../context.ts";
import { defined } from "../defined.ts";
import { type Document, readLines } from "../documents.ts";
import { flag, input, name, needing, optional, renamed, wholeNumber, withDefault } from "../options.ts";
import { checkFinite, checkFiniteOption } from "./check-finite.ts";
import { chosenTokenOptions, chosenTokensFrom } from "./chosen-tokens.ts";
import { reportInterventions } from "./interventions.ts";
import { modelArgument, runOptions, tuneOptions, withEditedModel } from "./model.ts";
import { printStream } from "./print-stream.ts";
import { givenOrPipedPrompt, promptArgument, promptOptions } from "./prompt.ts";
import { queueOption, withRunner } from "./queue.ts";
import { samplingFrom, samplingOptions } from "./sampling.ts";

/** From this number of tokens on, generating takes longer than tuning does, on devices where tuning matters. */
const LONG_TOKENS = 512;

export const generate = defineCommand({
  name: "generate",
  summary: "Continue a text or a sequence of token ids",
  description: [
    "Continues PROMPT and streams the text that follows. Without PROMPT it is read from standard input.",
    "With --tokens, ids go in and ids come out, and no tokenizer is needed. Then only generation_config.json and " +
      "--stop-token end it early; the stop id is the last id printed.",
  ],
  positionals: { model: modelArgument, prompt: { ...promptArgument, help: "the text to continue" } },
  options: {
    ...promptOptions,
    prompts: renamed(
      input(optional("FILE", "Continue many prompts side by side: one per line, or .jsonl with text or tokens", name)),
      "batch",
    ),
    samples: withDefault("N", "Continuations of each prompt, each drawn with its own seed", wholeNumber(1), 1),
    maxNewTokens: withDefault(
      "N",
      "Maximum number of tokens to generate",
      wholeNumber(1),
      generateDefaults.maxNewTokens,
    ),
    ...samplingOptions,
    ...chosenTokenOptions,
    json: flag(
      "Print one JSON object with prompt_tokens, tokens, text, timings and interventions; of several continuations, {results: […]}",
    ),
    checkFinite: checkFiniteOption,
    queue: needing(queueOption, "prompts"),
    ...runOptions,
    ...tuneOptions,
  },
  examples: [
    { line: 'generate weights/stories260K "Once upon a time"', shows: "Continue a text:" },
    {
      line: 'generate weights/gpt2-stories "One day" --temperature 0.8 --top-k 40 --seed 7',
      shows: "Draw the tokens, the same ones in every run:",
    },
    { line: "generate weights/gpt-nano-sort --tokens 2,0,1,1,0,2 --max-new-tokens 6", shows: "Continue token ids:" },
  ],
  check({ prompts: file, prompt, tokens, samples, temperature, jsonObject, jsonSchema }) {
    if (jsonObject && jsonSchema !== undefined) {
      throw new SluiceError(
        "usage",
        "--json-object and --json-schema exclude each other: a schema says what the JSON is",
      );
    }
    if (file !== undefined && (prompt !== undefined || tokens !== undefined)) {
      throw new SluiceError("usage", "--prompts reads the prompts from its file: leave the other prompt out");
    }
    if (samples > 1 && temperature === 0) {
      throw new SluiceError("usage", `at temperature 0 all ${samples} samples would be the same`, {
        hint: "Draw them, for example with --temperature 1.",
      });
    }
  },
  async run(values, context) {
    const { prompts: file, maxNewTokens, samples, json } = values;
    const options: GenerateOptions = {
      ...samplingFrom(values, context),
      ...(await chosenTokensFrom(values, context.signal)),
      ...defined({ context: values.context, promptLength: values.promptLength }),
      maxNewTokens,
    };
    const single = file === undefined ? await givenOrPipedPrompt(values, context) : undefined;
    const prompts = file === undefined ? [] : await readLines(file, "prompt", context.signal);
    const given = single === undefined ? prompts : [single];
    const long = maxNewTokens * given.length * samples >= LONG_TOKENS;
    // Kernels that were chosen by measurement here are not those of other machines.
    const noTune = values.noTune || values.queue !== undefined;
    await withEditedModel({ ...values, noTune, long }, context, async (model, loadMs, bundles) => {
      await checkFinite(values.checkFinite, model, given, values.promptLength, context);
      const task = { options, json, loadMs, bundles };
      if (single !== undefined && samples === 1) return runOne(model, single, task, context);
      return withRunner(values, context, ({ runner = inProcess }) =>
        runBatch(model, { prompts: given, samples }, task, runner, context),
      );
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

/** Which prompts are continued, and how often each. */
interface Batch {
  readonly prompts: readonly Document[];
  readonly samples: number;
}

async function runBatch(
  model: LoadedModel,
  { prompts, samples }: Batch,
  { options, json, loadMs, bundles }: Task,
  runner: ShardRunner,
  { progress, stdout, signal }: CommandContext,
): Promise<void> {
  const all = prompts.flatMap((prompt) => Array.from({ length: samples }, () => prompt));
  const label = `generating ${all.length} continuations`;
  const results: GenerationSummary[] = [];
  const generate = async (): Promise<void> => {
    const shards = shardsOf(model, all, { ...options, ...seedsFor(all, options) });
    const onProgress = (done: number): void => {
      // One shard is not heard of before its end.
      if (shards.length > 1) progress.count("generating", { done, total: all.length, unit: "continuations" });
    };
    for await (const some of runner.run(generated, shards, { signal, onProgress })) results.push(...some);
  };
  await progress.during(label, generate());
  if (json) {
    const reports = results.map((result, index) => {
      return { prompt: Math.floor(index / samples), sample: index % samples, ...reported(result, loadMs) };
    });
    stdout.write(`${JSON.stringify({ results: reports, ...inForce(bundles, model) })}\n`);
    return;
  }
  const isText = prompts.some((prompt) => typeof prompt === "string");
  results.forEach(({ tokens, text, seed }, index) => {
    const prompt = all[index] ?? "";
    if (isText) stdout.write(titleOf(prompt, index, seed, { prompts, samples }));
    stdout.write(`${typeof prompt === "string" ? text : tokens.join(" ")}\n`);
    if (isText && index + 1 < results.length) stdout.write("\n");
  });
}

/** Prompts that are continued side by side, each with its own seed. */
function shardsOf(
  model: LoadedModel,
  all: readonly Document[],
  { signal: _, seeds, ...options }: GenerateOptions,
): readonly Shard<GenerateInput>[] {
  return Array.from({ length: Math.ceil(all.length / SHARD_PROMPTS) }, (_, i) => {
    const [first, end] = [i * SHARD_PROMPTS, (i + 1) * SHARD_PROMPTS];
    const prompts = all.slice(first, end);
    const input = { prompts, options: { ...options, ...(seeds && { seeds: Array.from(seeds).slice(first, end) }) } };
    return { label: labelOf("continuation", "continuations", first, prompts.length), model: model as Model, input };
  });
}

/** Seeds that count up, so that equal prompts are continued differently; none if nothing is drawn. */
function seedsFor(
  all: readonly Document[],
  { temperature = 0, seed }: GenerateOptions,
): Pick<GenerateOptions, "seeds"> {
  if (temperature === 0) return {};
  const first = seed ?? Math.floor(Math.random() * 2 ** 32);
  return { seeds: all.map((_, index) => first + index) };
}

/** Characters of a prompt that are shown. */
const TITLE_CELLS = 60;

/** A line that separates a continuation from the one before: continuations may contain line ends. */
function titleOf(prompt: Document, index: number, seed: number | null, { prompts, samples }: Batch): string {
  const shown = typeof prompt === "string" ? JSON.stringify(prompt) : prompt.join(" ");
  const cut = shown.length > TITLE_CELLS ? `${shown.slice(0, TITLE_CELLS)}…` : shown;
  const sample = samples === 1 ? "" : `, sample ${(index % samples) + 1} of ${samples}`;
  const place = prompts.length === 1 ? "prompt" : `prompt ${Math.floor(index / samples) + 1} of ${prompts.length}`;
  const drawn = seed === null ? "" : `, seed ${seed}`;
  return `── ${place}${sample}${drawn}: ${cut}\n`;
}

function reported(result: GenerationSummary, loadMs: number): object {
  const { prompt_tokens, tokens, text, logprobs, finish, changes, seed, timings } = result;
  return {
    prompt_tokens,
    tokens,
    text,
    ...(logprobs && { logprobs }),
    finish,
    ...(changes.length > 0 && { changes }),
    ...(seed !== null && { seed }),
    timings: { load_ms: loadMs, ...timings },
  };
}

function inForce(bundles: readonly ComposedBundle[], { stages }: LoadedModel): object {
  return bundles.length > 0 ? { interventions: reportInterventions(bundles, stages) } : {};
}
