/** `sluice profile` */

import { profileDefaults } from "../../defaults.ts";
import { defineCommand } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { flag, name, optional, output, renamed, wholeNumber } from "../options.ts";
import { prepareOutFile, writeTogether } from "../out-file.ts";
import { profileTables } from "../profile-tables.ts";
import { editedOptions, modelArgument, tuneOptions, withEditedModel } from "./model.ts";
import { chosenPrompt, type PromptChoice, promptArgument, promptOptions } from "./prompt.ts";

export const profile = defineCommand({
  name: "profile",
  summary: "Show where a model's time goes, kernel by kernel",
  description: [
    "Runs a prefill and some decode steps with GPU timestamps around every dispatch, and prints calls, time, operations " +
      "and bytes of each kernel and each place in the model, against the device's own ceilings; the cost of profiling is " +
      "measured in the same run. Dispatches that carry interventions name them, and the cost of each stage has its own row: " +
      "the plan is timed with and without it, alternately. The host's work is listed too: uploading weights, encoding the " +
      "prompt, compiling each pipeline, and for every token encoding commands, submitting, waiting and decoding text.",
  ],
  positionals: {
    model: modelArgument,
    prompt: { ...promptArgument, help: "the text to prefill (default: 64 ids spread over the vocabulary)" },
  },
  options: {
    tokens: renamed(promptOptions.tokens, "promptIds"),
    maxNewTokens: optional("N", "Tokens to decode", wholeNumber(1), profileDefaults.newTokens),
    trace: output(optional("FILE", "Write a trace for Perfetto or Chrome's DevTools", name)),
    html: output(optional("FILE", "Write a report as one self-contained page", name)),
    json: flag("Print one JSON object"),
    ...editedOptions,
    ...tuneOptions,
  },
  examples: [
    { line: "profile weights/stories260K", shows: "Which kernels take the time?" },
    {
      line: 'profile weights/gpt2-stories "One day" --trace trace.json --html report.html',
      shows: "A trace and a report:",
    },
  ],
  async run(values, context) {
    const { progress, signal, stdout } = context;
    const { maxNewTokens, ...prompt } = decodeSteps(values, context);
    const files = {
      trace: values.trace === undefined ? undefined : await prepareOutFile(values.trace),
      html: values.html === undefined ? undefined : await prepareOutFile(values.html),
    };
    const choice = { ...values, promptLength: undefined };
    const result = await withEditedModel(choice, context, (model) => {
      const work = context.library.profile(model, chosenPrompt(prompt), {
        newTokens: maxNewTokens,
        signal,
        onProgress: (doing, done, total) => progress.count(doing, { done, total, unit: "runs" }),
      });
      return progress.during("profiling", work);
    });
    const { hostTimeOfToken, traceOf, reportOf } = await import("../../index.ts");
    const encoder = new TextEncoder();
    const run = context.record(result.device);
    const origin = { date: run.date, host: run.host, command: run.command };
    await writeTogether([
      [files.trace, encoder.encode(files.trace ? traceOf(result, origin) : "")],
      [files.html, encoder.encode(files.html ? reportOf(result, origin) : "")],
    ]);
    stdout.write(
      values.json
        ? `${JSON.stringify({ ...result, run })}\n`
        : profileTables(result, hostTimeOfToken(result.host.rows)) + wroteLines(values),
    );
  },
});

/** `--tokens 8` once meant --max-new-tokens 8. A single number still does, unless --max-new-tokens is given. */
function decodeSteps(
  { prompt, tokens, maxNewTokens }: PromptChoice & { readonly maxNewTokens: number | undefined },
  { note }: CommandContext,
): PromptChoice & { readonly maxNewTokens: number } {
  if (maxNewTokens !== undefined || tokens?.length !== 1)
    return { prompt, tokens, maxNewTokens: maxNewTokens ?? profileDefaults.newTokens };
  const [count = 0] = tokens;
  note(`--tokens ${count}, one number, is taken as --max-new-tokens ${count}; --tokens now takes the prompt's ids`);
  return { prompt, tokens: undefined, maxNewTokens: count };
}

function wroteLines({
  trace,
  html,
}: {
  readonly trace: string | undefined;
  readonly html: string | undefined;
}): string {
  const lines = [
    ...(trace === undefined ? [] : [`${trace}: a trace for https://ui.perfetto.dev or Chrome's DevTools\n`]),
    ...(html === undefined ? [] : [`${html}: a report, to be opened in a browser\n`]),
  ];
  return lines.length > 0 ? `\n${lines.join("")}` : "";
}
