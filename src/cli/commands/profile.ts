/** `sluice profile` */

import { SluiceError } from "../../errors.ts";
import { defineCommand } from "../command.ts";
import { flag, name, optional, output, text, tokenIds, wholeNumber, withDefault } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { profileTables } from "../profile-tables.ts";
import { modelArgument, runOptions, tuneOptions, withEditedModel } from "./model.ts";

const { promptLength: _, ...profileRunOptions } = runOptions;

export const profile = defineCommand({
  name: "profile",
  summary: "Tell where a model's time goes, kernel by kernel",
  description: [
    "Runs a prefill and some decode steps with GPU timestamps around every dispatch, and tells calls, time, operations " +
      "and bytes of each kernel and each place in the model, against the device's own ceilings; what profiling costs is " +
      "measured in the same run. Dispatches that carry interventions name them, and what each stage costs is a row of its own: " +
      "the plan is timed with it and without it, in turns. What the host does is told too: uploading weights, encoding the " +
      "prompt, compiling each pipeline, and for every token encoding commands, submitting, waiting and decoding text.",
  ],
  positionals: { model: modelArgument },
  options: {
    prompt: optional("TEXT", "The text to prefill", text),
    promptIds: optional(
      "IDS",
      "Token ids in place of text, such as 1,2,3 (default: 64 ids over the vocabulary)",
      tokenIds,
    ),
    tokens: withDefault("N", "Decode steps", wholeNumber(1), 8),
    trace: output(optional("FILE", "Write a trace for Perfetto or Chrome's DevTools", name)),
    html: output(optional("FILE", "Write a report to look at, one self-contained page", name)),
    json: flag("Print one JSON object"),
    ...profileRunOptions,
    ...tuneOptions,
  },
  examples: [
    { line: "profile weights/stories260K", shows: "Which kernels take the time?" },
    {
      line: 'profile weights/gpt2-stories --prompt "One day" --trace trace.json --html report.html',
      shows: "To look at:",
    },
  ],
  async run(values, context) {
    const { progress, signal, stdout } = context;
    if (values.prompt !== undefined && values.promptIds !== undefined) {
      throw new SluiceError("usage", "--prompt and --prompt-ids were given: which one?", { hint: "Leave one out." });
    }
    const files = {
      trace: values.trace === undefined ? undefined : await prepareOutFile(values.trace),
      html: values.html === undefined ? undefined : await prepareOutFile(values.html),
    };
    const choice = { ...values, promptLength: undefined };
    const result = await withEditedModel(choice, context, (model) => {
      const work = context.library.profile(model, values.prompt ?? values.promptIds, {
        newTokens: values.tokens,
        signal,
        onProgress: (doing, done, total) => progress.update(doing, `${done} of ${total}`),
      });
      return progress.during("profiling", work);
    });
    const { hostTimeOfToken, traceOf, reportOf } = await import("../../index.ts");
    const encoder = new TextEncoder();
    await files.trace?.write(encoder.encode(traceOf(result)));
    await files.html?.write(encoder.encode(reportOf(result)));
    stdout.write(
      values.json ? `${JSON.stringify(result)}\n` : profileTables(result, hostTimeOfToken(result.host.rows)),
    );
  },
});
