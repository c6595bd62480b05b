/** `sluice tune` */
import type { TunedOperation, TuningReport } from "../../index.ts";
import { left, right, table } from "../columns.ts";
import { defineCommand } from "../command.ts";
import { decimal, flag, withDefault } from "../options.ts";
import { modelArgument, plannedOptions, withModel } from "./model.ts";

export const tune = defineCommand({
  name: "tune",
  summary: "Choose a model's kernels by measuring them on this device",
  description: [
    "Times every kernel that can serve each of the model's operations, for one row and for many, and remembers the " +
      "fastest for this adapter and version of Sluice. generate, chat, perplexity, compare, evaluate, explain, bench and " +
      "profile then use them, except with --no-tune. Another kernel replaces the built-in choice only if it takes at most " +
      "0.9 of its time in three alternations. logits, capture, attribute, fit and the reference plan are never tuned.",
    "chat, bench, and generate for 512 tokens or more, tune automatically the first time they load a model above 64 MB, for " +
      "at most ten seconds.",
  ],
  positionals: { model: modelArgument },
  options: {
    seconds: withDefault(
      "S",
      "Stop after this many seconds; undecided operations keep the built-in choice",
      decimal({ min: 1 }),
      60,
    ),
    json: flag("Print one JSON object"),
    ...plannedOptions,
  },
  examples: [{ line: "tune weights/gpt2-stories", shows: "Which kernels are the fastest here?" }],
  async run(values, context) {
    const { library, progress, signal, stdout } = context;
    const report = await withModel({ ...values, plan: undefined }, context, (model) => {
      const work = library.tune(model, {
        seconds: values.seconds,
        signal,
        onProgress: (done, total) => progress.count("choosing kernels", { done, total, unit: "operations" }),
      });
      return progress.during("choosing kernels", work);
    });
    const run = context.record(report.device);
    stdout.write(values.json ? `${JSON.stringify({ ...report, run })}\n` : formatReport(report));
  },
});

function formatReport({ device, clock, seconds, decided, total, results }: TuningReport): string {
  const columns = [
    left("operation"),
    left("shape"),
    left("type"),
    right("rows"),
    left("chosen"),
    right("to guess"),
    left("µs per run, fastest first; * is the built-in choice"),
  ];
  const rows = results.map((result) => [
    result.operation,
    result.shape,
    result.dtype,
    result.rows === "1" || result.rows === "more" ? result.rows : `≤ ${result.rows}`,
    result.chosen,
    result.ratio_to_guess.toFixed(2),
    times(result),
  ]);
  const late = decided < total ? `, ${total - decided} not in time: they keep the built-in choice` : "";
  const step = clock.step_us < 0.1 ? `${clock.step_us * 1000} ns` : `${Number(clock.step_us.toPrecision(3))} µs`;
  return (
    `${device}, ${clock.source} in steps of ${step}\n${table(columns, rows)}` +
    `${decided} decided in ${seconds.toFixed(1)} s${late}\n`
  );
}

function times({ candidates, guess }: TunedOperation): string {
  return Object.entries(candidates)
    .sort(([, a], [, b]) => a - b)
    .map(([name, us]) => `${name}${name === guess ? "*" : ""} ${us >= 100 ? us.toFixed(0) : us.toPrecision(3)}`)
    .join(", ");
}
