/** Where a model's time goes: every dispatch of a prefill and of decode steps, and the host's work meanwhile. */

import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { prompt as anyPrompt } from "../arguments/lists.ts";
import { signal as abortSignal, callback, flag, whole } from "../arguments/rules.ts";
import { profileDefaults } from "../defaults.ts";
import { throwIfAborted } from "../errors.ts";
import { PipelineCache } from "../execution/pipelines.ts";
import { engineVersion } from "../kernels/engine-version.gen.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";
import type { PromptInput } from "../model/request.ts";
import type { Sequences } from "../runtime/sequences.ts";
import { surveyAgain, surveyCeilings } from "./ceilings.ts";
import { chooseClock } from "./clocks.ts";
import { describeDispatch, layerOf, rowsOf, siteOf } from "./dispatch-rows.ts";
import { hostRows, loadSpans, runSpans, type TokenizeRecord } from "./host.ts";
import { type LaneRun, ProfiledLane } from "./lane.ts";
import { isPage, measureInPage } from "./page-measures.ts";
import type { ClockName, Phase, Profile, WallTimes } from "./profile-result.ts";
import { stageCosts } from "./stage-costs.ts";
import { resolutionOf } from "./timestamps.ts";

/** Options of {@link profileModel}. */
export interface ProfileOptions {
  /** Decode steps, default 8. */
  readonly newTokens?: number;
  /**
   * Add the spans to the entries of `performance`, which the Performance panel shows; default: in pages and workers.
   */
  readonly measures?: boolean;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
  /** Called with the name of the measurement, steps done so far, and in all. */
  onProgress?(doing: string, done: number, total: number): void;
}

export const profileDoor = entry(
  "profileModel",
  ["model", anyModel],
  ["prompt", anyPrompt],
  optionsOf(
    fields<ProfileOptions>()({
      newTokens: whole({ least: 1 }),
      measures: flag,
      signal: abortSignal,
      onProgress: callback<NonNullable<ProfileOptions["onProgress"]>>(),
    }),
  ),
);

/** Rounds in which the work runs plain, recorded and profiled. */
const ROUNDS = 3;

/**
 * Profiles one prefill of a prompt and the decode steps after it, one step per submit.
 * @param prompt a text, or token ids
 * @throws SluiceError `usage` for an empty prompt or a number of tokens out of range; `context_overflow`; `aborted`
 */
export async function profileModel(model: Model, prompt: PromptInput, options: ProfileOptions = {}): Promise<Profile> {
  return profiled(...profileDoor.read(model, prompt, options));
}

async function profiled(model: Model, prompt: PromptInput, options: ProfileOptions): Promise<Profile> {
  const { newTokens = profileDefaults.newTokens, measures = isPage(), signal } = options;
  const tokenizing = performance.now();
  const tokens = model.encode(prompt);
  const tokenized: TokenizeRecord | null =
    typeof prompt === "string"
      ? { began: tokenizing, ms: performance.now() - tokenizing, tokens: tokens.length }
      : null;
  const {
    gpu,
    pipelines,
    weights: { upload },
  } = model.internals;
  // The ceilings' kernels are not the model's.
  const apart = new PipelineCache(gpu);
  let sequences: Sequences | undefined;
  try {
    const survey = await surveyCeilings(gpu, apart, {
      signal,
      onProgress: (done, total) => options.onProgress?.("measuring ceilings", done, total),
    });
    sequences = await model.openSequences({ context: tokens.length + newTokens, signal });
    const lane = new ProfiledLane(sequences, tokens, newTokens, { tokenizer: model.tokenizer, signal });
    // Compiles, and fills caches.
    await lane.run();
    // Later pipelines are for the costs of stages.
    const compiled = [...pipelines.compiled];
    const rounds = await runRounds(model, lane, options);
    const stage_costs = await stageCosts(model, tokens, newTokens, {
      signal,
      onProgress: (done, total) => options.onProgress?.("measuring stages", done, total),
    });
    const ceilings = await surveyAgain(gpu, apart, survey, { signal });

    const { clock, plain, recorded, profiled } = rounds;
    const origin = profiled.began;
    const offsetNs = clock === "gpu timestamps" ? gpuOffset(profiled) : -origin * 1e6;
    const dispatches = profiled.timed.map((timed) => describeDispatch(timed, offsetNs));
    const before = loadSpans(upload, tokenized, compiled, origin);
    const spans = [...before, ...runSpans(profiled.spans, origin)].sort((a, b) => a.begin_ms - b.begin_ms);
    const wall = (phase: Phase): WallTimes => ({
      plain_ms: plain.wall[phase],
      recorded_ms: recorded.wall[phase],
      profiled_ms: profiled.wall[phase],
    });
    const profile: Profile = {
      model: nameOf(upload.from) ?? model.config.model_type,
      quantization: model.config.quantized_as ?? model.config.quantization ?? null,
      stages: model.stages.map(({ id }) => id),
      sluice_version: engineVersion,
      device: model.device.name,
      prompt_tokens: tokens.length,
      new_tokens: newTokens,
      clock,
      resolution_ns: clock === "gpu timestamps" ? resolutionOf(profiled.timed) : null,
      unusable_stamps: dispatches.filter(({ ms }) => ms === null).length,
      ceilings,
      time_origin_ms: origin,
      dispatches,
      by_label: rowsOf(dispatches, ({ label }) => label, ceilings),
      by_kernel: rowsOf(dispatches, ({ kernel }) => kernel, ceilings),
      by_layer: rowsOf(dispatches, layerOf, ceilings),
      by_site: rowsOf(dispatches, siteOf, ceilings),
      stage_costs,
      wall: { prefill: wall("prefill"), decode: wall("decode") },
      host: { rows: hostRows(before, recorded, { prefill: tokens.length, decode: newTokens }), spans },
    };
    if (measures) measureInPage(profile);
    return profile;
  } finally {
    sequences?.dispose();
    apart.dispose();
  }
}

/**
 * A model's name for a report that others may see: only the last part of a path.
 * @param from folder or address
 */
export function nameOf(from: string | null): string | null {
  const parts = (from ?? "")
    // Hugging Face's addresses and its cache end with a revision.
    .replace(/^(https:\/\/huggingface\.co\/.+?)\/(?:resolve|raw)\/.*$/, "$1")
    .replace(/([^/\\]+)[/\\]snapshots[/\\][^/\\]+[/\\]*$/, "$1")
    .split(/[/\\]+/);
  // A folder given as "." or ".." has no name here; an address without a path gets its host's name.
  return parts.filter((part) => part !== "" && !/^\.+$/.test(part)).at(-1) ?? null;
}

interface Rounds {
  readonly clock: ClockName;
  readonly plain: LaneRun;
  readonly recorded: LaneRun;
  readonly profiled: LaneRun;
}

/** The same work plain, recorded and profiled, in turns; the fastest run of each. */
async function runRounds(model: Model, lane: ProfiledLane, { signal, onProgress }: ProfileOptions): Promise<Rounds> {
  const clock = await chooseClock(model.internals.gpu, lane);
  try {
    const host = lane.recorder();
    const plain: LaneRun[] = [];
    const recorded: LaneRun[] = [];
    const profiled: LaneRun[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      throwIfAborted(signal);
      plain.push(await lane.run());
      recorded.push(await lane.run({ host }));
      profiled.push(await lane.run({ host, clock }));
      onProgress?.("profiling", round + 1, ROUNDS);
    }
    return { clock: clock.name, plain: fastest(plain), recorded: fastest(recorded), profiled: fastest(profiled) };
  } finally {
    clock.dispose();
  }
}

/** Other work of the machine can only add time; ceilings are the best of several runs too. */
function fastest(runs: readonly LaneRun[]): LaneRun {
  const length = ({ wall }: LaneRun) => wall.prefill + wall.decode;
  return runs.reduce((best, run) => (length(run) < length(best) ? run : best));
}

/**
 * From the GPU's clock to nanoseconds since the run began. The clocks' distance is not known, but no step's first dispatch
 * begins before the host submits it: the GPU's times are placed as early as that allows.
 */
function gpuOffset({ timed, spans, began }: LaneRun): number {
  let offset = -Infinity;
  const seen = new Set<string>();
  for (const { phase, step, beginNs } of timed) {
    const key = `${phase} ${step}`;
    if (beginNs === null || seen.has(key)) continue;
    seen.add(key);
    const submit = spans.find((span) => span.phase === phase && span.step === step && span.work === "submit");
    if (submit) offset = Math.max(offset, (submit.began - began) * 1e6 - beginNs);
  }
  return Number.isFinite(offset) ? offset : 0;
}
