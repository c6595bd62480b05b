/** `sluice bench` */
import { benchDefaults } from "../../defaults.ts";
import { SluiceError } from "../../errors.ts";
import type { BenchResult, DeviceReport } from "../../index.ts";
import { defineCommand } from "../command.ts";
import { defined } from "../defined.ts";
import { flag, name, needing, oneOf, optional, output, renamed, wholeNumber } from "../options.ts";
import { prepareOutFile } from "../out-file.ts";
import type { RunRecord } from "../run-record.ts";
import { type InterventionChoice, interventionsFrom } from "./interventions.ts";
import { editedOptions, loadBundles, modelArgument, tuneOptions, withModel } from "./model.ts";

export const bench = defineCommand({
  name: "bench",
  summary: "Measure a model's speed against what its device can do",
  description: [
    "Prefills random tokens and decodes from them, several times, and measures the device's own ceilings in the same run: " +
      "memory bandwidth and arithmetic. With --with it also measures the time with interventions " +
      "relative to the time without, in interleaved pairs.",
  ],
  positionals: { model: modelArgument },
  options: {
    promptTokens: optional(
      "N",
      `Tokens to prefill (default ${benchDefaults.promptTokens}, or what the context allows)`,
      wholeNumber(1),
    ),
    maxNewTokens: renamed(
      optional(
        "N",
        `Tokens to decode after the first (default ${benchDefaults.newTokens}, or what the context leaves)`,
        wholeNumber(1),
      ),
      "newTokens",
    ),
    repetitions: optional(
      "N",
      `How often to measure (default ${benchDefaults.repetitions}; with --with ${benchDefaults.pairedRepetitions})`,
      wholeNumber(5),
    ),
    report: output(
      optional(
        "FILE",
        "Write a report on the device as JSON, to attach to an issue: adapter, limits, all of these figures, and every " +
          "kernel compared with the CPU",
        name,
      ),
    ),
    checks: needing(
      optional(
        "all|quick|none",
        "With --report: compare every kernel that tuning could choose, the engine's own choice alone, or none",
        oneOf("all", "quick", "none"),
        "all",
      ),
      "report",
    ),
    json: flag("Print one JSON object"),
    ...editedOptions,
    ...tuneOptions,
  },
  examples: [
    { line: "bench weights/stories260K", shows: "How fast is the small Llama here?" },
    {
      line: "bench weights/stories260K --report device.json",
      shows: "A report on this device, to attach to an issue:",
    },
    {
      line: "bench path/to/gpt2 --with bundle.safetensors --json",
      shows: "What do interventions cost, for a program:",
    },
  ],
  async run(values, context) {
    const choice: InterventionChoice = { ...values, promptLength: undefined };
    const { strengths, params, positions } = interventionsFrom(choice);
    const bundles = await loadBundles(choice, context);
    const { promptTokens, maxNewTokens: newTokens, json } = values;
    const { progress, signal, stdout } = context;
    if (values.report !== undefined && bundles.length > 0) {
      throw new SluiceError("usage", "--report is about the device, and takes no interventions", {
        hint: "Leave --with out.",
      });
    }
    const file = values.report === undefined ? undefined : await prepareOutFile(values.report);
    const { result, report } = await withModel({ ...values, long: true }, context, async (model) => {
      const edited = bundles.length > 0 ? model.with(bundles, { strengths, params, positions }) : undefined;
      const options = {
        ...defined({ promptTokens, newTokens, repetitions: values.repetitions }),
        signal,
        onProgress: (doing: string, done: number, total: number) =>
          progress.count(doing, { done, total, unit: "runs" }),
      };
      if (file) {
        const report = await progress.during(
          "measuring",
          context.library.deviceReport(model, { ...options, ...defined({ checks: values.checks }) }),
        );
        return { result: report.bench, report };
      }
      return { result: await progress.during("measuring", context.library.bench(model, edited, options)) };
    });
    const run = context.record(result.device);
    await file?.write(new TextEncoder().encode(`${JSON.stringify({ ...report, run }, null, 1)}\n`));
    stdout.write(json ? `${JSON.stringify({ ...result, run })}\n` : table(result, run));
    if (!json && report) stdout.write(checkLine(report, values.report ?? ""));
  },
});

/** Whether the device computes right. */
function checkLine({ checks }: DeviceReport, file: string): string {
  const { passed, failed } = checks ?? { passed: 0, failed: 0 };
  if (passed + failed === 0) return `${"kernels".padEnd(16)}not compared with the CPU; ${file} has the rest\n`;
  const verdict =
    failed === 0
      ? `all ${passed} comparisons with the CPU agree`
      : `${failed} of ${passed + failed} comparisons with the CPU differ`;
  return `${"kernels".padEnd(16)}${verdict}; ${file} has them\n`;
}

function table(result: BenchResult, run: RunRecord): string {
  const { ceilings, spread, time_to_first_token_ms: first } = result;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const range = ({ min, max }: { readonly min: number; readonly max: number }) => `${rate(min)} to ${rate(max)}`;
  const ratio = (value: number, interval: readonly [number, number] | undefined) =>
    `${value.toFixed(3)}  (${interval?.map((end) => end.toFixed(3)).join(" to ")}) of the plain model's time`;
  const lines: (readonly [string, string])[] = [
    ["device", result.device],
    [
      "prefill",
      `${rate(result.prefill_tokens_per_s)} tokens/s  (${range(spread.prefill_tokens_per_s)}), ${result.prompt_tokens} tokens`,
    ],
    [
      "",
      `${percent(result.prefill_share_of_gemm)} of ${rate(ceilings.gemm_gflop_per_s)} GFLOP/s with loads, ${percent(result.prefill_share_of_fma)} of ${rate(ceilings.fma_gflop_per_s)} GFLOP/s without`,
    ],
    [
      "decode",
      `${rate(result.decode_tokens_per_s)} tokens/s  (${range(spread.decode_tokens_per_s)}), ${result.new_tokens} tokens`,
    ],
    ["", `${percent(result.decode_share_of_bandwidth)} of ${rate(ceilings.read_gb_per_s)} GB/s`],
    [
      "first token",
      `${first.warm.toFixed(0)} ms warm, ${first.cold.toFixed(0)} ms cold of which ${first.compile.toFixed(0)} ms compile`,
    ],
    ["GPU memory", `${(result.gpu_bytes / 1e6).toFixed(1)} MB`],
  ];
  const about: (readonly [string, string])[] = [
    ["measured", `${run.date}, Sluice ${run.sluice}, Node ${run.node}`],
    ["host", run.host],
    ["command", run.command],
  ];
  if (result.prefill_ratio_to_plain !== undefined && result.decode_ratio_to_plain !== undefined) {
    lines.push(["edited prefill", ratio(result.prefill_ratio_to_plain, result.prefill_ratio_interval)]);
    lines.push(["edited decode", ratio(result.decode_ratio_to_plain, result.decode_ratio_interval)]);
  }
  return [...lines, ...about].map(([name, text]) => `${name.padEnd(16)}${text}\n`).join("");
}

function rate(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}
