/** `sluice profile` */

import { SluiceError } from "../../errors.ts";
import type { Profile, ProfileRow } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { flag, name, optional, text, tokenIds, wholeNumber, withDefault } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import { modelArgument, runOptions, tuneOptions, withEditedModel } from "./model.ts";

const { promptLength: _, ...profileRunOptions } = runOptions;

export const profile = defineCommand({
  name: "profile",
  summary: "Tell where a model's time goes, kernel by kernel",
  description: [
    "Runs a prefill and some decode steps with GPU timestamps around every dispatch, and tells calls, time, operations " +
      "and bytes of each kernel and each place in the model, against the device's own ceilings; what profiling costs is " +
      "measured in the same run. Dispatches that carry interventions name them, and what each stage costs is a row of its own: " +
      "the plan is timed with it and without it, in turns.",
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
    trace: optional("FILE", "Write a trace for Perfetto or Chrome's DevTools", name),
    html: optional("FILE", "Write a report to look at, one self-contained page", name),
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
    const { traceOf, reportOf } = await import("../../index.ts");
    const encoder = new TextEncoder();
    await files.trace?.write(encoder.encode(traceOf(result)));
    await files.html?.write(encoder.encode(reportOf(result)));
    stdout.write(values.json ? `${JSON.stringify(result)}\n` : table(result));
  },
});

const SHOWN = 12;

function table(result: Profile): string {
  const { wall, clock, resolution_ns } = result;
  const lines = [
    `${result.device}: ${result.prompt_tokens} tokens prefilled, ${result.new_tokens} decoded`,
    `times: ${clock}${resolution_ns === null ? "" : `, steps of ${resolution_ns} ns`}`,
  ];
  for (const phase of ["prefill", "decode"] as const) {
    const { plain_ms, profiled_ms } = wall[phase];
    lines.push(
      "",
      `${phase}: ${plain_ms.toFixed(1)} ms on the host's clock, ${profiled_ms.toFixed(1)} ms with the profiler`,
      `  ${"ms".padStart(9)} ${"share".padStart(7)} ${"calls".padStart(6)} ${"GFLOP/s".padStart(8)} ${"GB/s".padStart(7)} ${"roofline".padStart(9)}  kernel`,
    );
    for (const row of result.by_kernel.filter((each) => each.phase === phase).slice(0, SHOWN)) lines.push(line(row));
  }
  if (result.stage_costs.length > 0) {
    const host = result.stage_costs.some((cost) => cost.clock === "host");
    lines.push("", `stages, with and without each${host ? ", whole phases by the host's clock" : ""}:`);
    lines.push(`  ${"ms".padStart(9)} ${"share".padStart(7)} ${"95 % of".padStart(18)} ${"places".padStart(6)}  stage`);
    for (const { phase, stage, ms, interval, share, dispatches } of result.stage_costs) {
      const range = `${interval[0].toFixed(3)} to ${interval[1].toFixed(3)}`;
      const percent = `${(100 * share).toFixed(1)} %`;
      lines.push(
        `  ${ms.toFixed(3).padStart(9)} ${percent.padStart(7)} ${range.padStart(18)} ${String(dispatches).padStart(6)}  ${stage} in ${phase}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

function line({
  ms,
  share,
  calls,
  gflop_per_s,
  gb_per_s,
  share_of_roofline,
  name: kernel,
  stages,
}: ProfileRow): string {
  const number = (value: number | null, width: number, digits: number) =>
    (value === null ? "–" : value.toFixed(digits)).padStart(width);
  const percent = (value: number | null, width: number) =>
    (value === null ? "–" : `${(100 * value).toFixed(1)} %`).padStart(width);
  const carried = stages.length > 0 ? `  [${stages.join(", ")}]` : "";
  return `  ${number(ms, 9, 3)} ${percent(share, 7)} ${String(calls).padStart(6)} ${number(gflop_per_s, 8, 2)} ${number(gb_per_s, 7, 2)} ${percent(share_of_roofline, 9)}  ${kernel}${carried}`;
}
