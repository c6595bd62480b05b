/** Tuning of a loaded model: when it happens, and where what came of it is kept. */
import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { signal as abortSignal, callback, finite, thing } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { ClockFailure } from "../tune/contest.ts";
import { openStore } from "../tune/node-store.ts";
import { recall, remember, type TuningStore } from "../tune/remembered.ts";
import type { TuningReport } from "../tune/tune.ts";
import type { Model } from "./model.ts";
import { model as anyModel } from "./model-argument.ts";
import type { ModelParts } from "./model-parts.ts";
import type { TuneModelOptions } from "./options.ts";

/** What a load may spend on tuning: ten seconds with what is around it. */
const FIRST_LOAD_MS = 9_000;

/** A load does not wait for the tuning of models that are smaller: they say a thousand tokens in less time than it takes. */
const WORTH_BYTES = 64 << 20;

export const tuneDoor = entry(
  "tuneModel",
  ["model", anyModel],
  optionsOf(
    fields<TuneModelOptions>()({
      seconds: finite({ above: 0 }),
      signal: abortSignal,
      onProgress: callback<(done: number, total: number) => void>(),
      store: thing<TuningStore>("a store with read and write", { read: "function", write: "function" }),
    }),
  ),
);

type Tunable = Omit<ModelParts, "config" | "generationConfig" | "tokenizer" | "tokenizerError" | "onProgress">;

/**
 * Times all kernels that can serve the model on its device, chooses, and remembers for this adapter and version of the
 * engine. Sessions that are opened afterwards use what was chosen.
 * @throws SluiceError `usage` for a model on the reference plan, which is never tuned; `aborted`, `device_limit`, `gpu`
 */
export async function tuneModel(model: Model, options: TuneModelOptions = {}): Promise<TuningReport> {
  const [{ internals: parts }, { seconds = 60, signal, store = openStore(), onProgress }] = tuneDoor.read(
    model,
    options,
  );
  if (parts.reference) {
    throw new SluiceError("usage", "The reference plan is never tuned: its bits must not depend on measurements", {
      hint: "Load the model with the default plan.",
      field: "plan",
    });
  }
  const { tuneKernels } = await import("../tune/tune.ts");
  const { choices, report } = await tuneKernels(parts, {
    budgetMs: seconds * 1000,
    signal,
    ...(onProgress && { onProgress }),
  });
  parts.tuning.choices = await remember(store, parts.gpu.profile, choices, parts.onNotice);
  return report;
}

/**
 * What a load does: takes what is remembered, and with `measure` tunes for at most ten seconds, where nothing is remembered
 * of this model's shapes and it is not tiny. What is not decided by then stays a guess until `sluice tune`: no second load
 * waits for it. Where kernels cannot be timed, a notice says so.
 */
export async function tuneAtLoad(
  parts: Tunable,
  measure: boolean,
  options: Omit<TuneModelOptions, "seconds"> = {},
): Promise<void> {
  const { store = openStore() } = options;
  const known = await recall(store, parts.gpu.profile, parts.onNotice);
  parts.tuning.choices = known;
  if (!measure || parts.layout.byteLength < WORTH_BYTES) return;
  const { tuneKernels } = await import("../tune/tune.ts");
  const work = tuneKernels(parts, {
    known,
    onlyNew: true,
    budgetMs: FIRST_LOAD_MS,
    signal: options.signal,
    ...(options.onProgress && { onProgress: options.onProgress }),
  });
  const tuned = await work.catch((error: unknown) => {
    // A model that cannot be tuned runs all the same.
    if (!(error instanceof SluiceError && error.cause instanceof ClockFailure)) throw error;
    parts.onNotice(`${error.message}. The model runs on kernels that were not chosen by measurement.`);
    return undefined;
  });
  if (!tuned || tuned.report.decided === 0) return;
  parts.tuning.choices = await remember(store, parts.gpu.profile, tuned.choices, parts.onNotice);
}
