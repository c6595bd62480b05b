/** Tuning of a loaded model: when it happens, and where the choices are kept. */
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

/** Milliseconds that a load may spend on tuning: ten seconds in all with what is around it. */
const FIRST_LOAD_MS = 9_000;

/** A load does not tune smaller models: they generate a thousand tokens in less time than tuning takes. */
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
 * Times all kernels that can serve the model on its device, chooses, and stores the choice for this adapter and version of the
 * engine. Sessions opened later use the choice.
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
 * Tuning at load: uses stored choices; with `measure` it tunes for at most ten seconds if nothing is stored
 * for this model's shapes and the model is not tiny. Undecided operations keep the guess until the model is tuned: no
 * second load waits for it. If kernels cannot be timed, a notice says so.
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
    // A model that cannot be tuned still runs.
    if (!(error instanceof SluiceError && error.cause instanceof ClockFailure)) throw error;
    parts.onNotice(`${error.message}. The model runs on kernels that were not chosen by measurement.`);
    return undefined;
  });
  if (!tuned || tuned.report.decided === 0) return;
  parts.tuning.choices = await remember(store, parts.gpu.profile, tuned.choices, parts.onNotice);
}
