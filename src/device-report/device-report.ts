/**
 * A report on a device: what it is, how fast a model runs on it, and whether it computes what it should. Made to be
 * attached to an issue, and to be compared with others' reports.
 */
import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { signal as abortSignal, callback, oneOf, whole } from "../arguments/rules.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { engineVersion } from "../kernels/engine-version.gen.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";
import { type BenchOptions, type BenchResult, benchModel } from "../profile/bench.ts";
import { checkKernels, type KernelCheck } from "./check-kernels.ts";

/** The form of {@link DeviceReport}; it changes with the fields. */
export const REPORT_SCHEMA = 1;

/** Options of {@link deviceReport}: those of `benchModel`, and how much is checked. */
export interface DeviceReportOptions extends BenchOptions {
  /**
   * `all` (default): every kernel that tuning could choose. `quick`: those that the engine chooses by itself. `none`:
   * only speed.
   */
  readonly checks?: "all" | "quick" | "none";
}

/** What a device is, how fast it is, and whether it is right. */
export interface DeviceReport {
  /** The version of this shape: 1. */
  readonly schema: number;
  /** When it was made, in UTC: `2026-11-29T00:21:53Z`. */
  readonly date: string;
  /** Version of the package and its shaders. */
  readonly sluice_version: string;
  /** The browser, as it names itself; null where there is none, as in Node 20. */
  readonly user_agent: string | null;
  /** Adapter, features and granted limits. */
  readonly device: DeviceProfile;
  /** The family of kernels that the engine chose for it. */
  readonly family: string;
  /** The model that was run. */
  readonly model: {
    /** As config.json names the family. */
    readonly model_type: string;
    readonly layers: number;
    readonly hidden_size: number;
    readonly vocab_size: number;
    /** Bytes of its weights on the GPU. */
    readonly weight_bytes: number;
    /** The format that its weights were quantised to; null for float weights. */
    readonly quantization: string | null;
    /** `default`, `reference` or `f16-cache`. */
    readonly plan: string;
  };
  /** Speed, memory and ceilings. */
  readonly bench: BenchResult;
  /** Kernels that tuning chose, by operation and number of rows. */
  readonly tuned: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Comparisons with the CPU in float64; null if none were made. */
  readonly checks: {
    readonly passed: number;
    readonly failed: number;
    /** Each kernel: in how many comparisons it took part, and in how many of those that failed. */
    readonly kernels: Readonly<Record<string, { readonly checks: number; readonly failed: number }>>;
    readonly results: readonly KernelCheck[];
  } | null;
}

export const deviceReportDoor = entry(
  "deviceReport",
  ["model", anyModel],
  optionsOf(
    fields<DeviceReportOptions>()({
      promptTokens: whole({ least: 1 }),
      newTokens: whole({ least: 1 }),
      repetitions: whole({ least: 5 }),
      checks: oneOf(["all", "quick", "none"]),
      signal: abortSignal,
      onProgress: callback<NonNullable<BenchOptions["onProgress"]>>(),
    }),
  ),
);

/**
 * Measures a model on its device, and checks every kernel there against plain loops in float64. Takes a minute or two on a
 * software device.
 * @throws SluiceError as `benchModel`; a kernel that computes wrongly is a failed check, not an error
 */
export async function deviceReport(model: Model, options: DeviceReportOptions = {}): Promise<DeviceReport> {
  const [, { checks: extent = "all", ...benching }] = deviceReportDoor.read(model, options);
  const { signal, onProgress } = benching;
  const bench = await benchModel(model, undefined, benching);
  const { gpu, family, reference, cache, layout, tuning } = model.internals;
  const checked =
    extent === "none"
      ? null
      : await checkKernels(gpu.device, {
          extent,
          signal,
          onProgress: (done, total) => onProgress?.("checking kernels", done, total),
        });
  const { config } = model;
  return {
    schema: REPORT_SCHEMA,
    date: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    sluice_version: engineVersion,
    user_agent: globalThis.navigator?.userAgent ?? null,
    device: model.device,
    family,
    model: {
      model_type: config.model_type,
      layers: config.num_hidden_layers,
      hidden_size: config.hidden_size,
      vocab_size: config.vocab_size,
      weight_bytes: layout.byteLength,
      quantization: config.quantization ?? null,
      plan: reference ? "reference" : cache === "f16" ? "f16-cache" : "default",
    },
    bench,
    tuned: tuning.choices,
    checks: checked && summed(checked),
  };
}

function summed(results: readonly KernelCheck[]): DeviceReport["checks"] {
  const kernels: Record<string, { checks: number; failed: number }> = {};
  for (const { kernels: names, passed } of results) {
    for (const name of names) {
      kernels[name] ??= { checks: 0, failed: 0 };
      kernels[name].checks += 1;
      if (!passed) kernels[name].failed += 1;
    }
  }
  const failed = results.filter(({ passed }) => !passed).length;
  return { passed: results.length - failed, failed, kernels, results };
}
