/** Where a model's time goes: every dispatch of a prefill and of decode steps, on the GPU's own clock. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import { PipelineCache } from "../gpu/pipelines.ts";
import type { Model } from "../runtime/model.ts";
import { type Ceilings, surveyAgain, surveyCeilings } from "./ceilings.ts";
import { type Phase, type PhasedDispatch, ProfiledLane } from "./lane.ts";
import { type StageCost, stageCosts } from "./stage-costs.ts";
import { median } from "./statistics.ts";
import { resolutionOf, TimestampObserver } from "./timestamps.ts";

export type { Phase } from "./lane.ts";

export interface ProfileOptions {
  /** Decode steps, default 8. */
  readonly newTokens?: number;
  readonly signal?: AbortSignal;
  onProgress?(doing: string, done: number, total: number): void;
}

/** One dispatch of one step. */
export interface ProfiledDispatch {
  readonly phase: Phase;
  /** Which step of the phase, from 0. */
  readonly step: number;
  /** Where in the model: `blocks.3.mlp.up`. */
  readonly label: string;
  readonly layer: number | null;
  readonly kernel: string;
  /** Interventions that this dispatch carries. */
  readonly stages: readonly string[];
  /** From the beginning of the profile, in milliseconds of the GPU's clock; null where it gave no usable stamp. */
  readonly begin_ms: number | null;
  readonly ms: number | null;
  readonly flops: number;
  readonly bytes: number;
}

/** Dispatches that share a label (over all steps of a phase) or a kernel, added up. */
export interface ProfileRow {
  readonly phase: Phase;
  readonly name: string;
  readonly calls: number;
  /** Null where some of its dispatches have no time. */
  readonly ms: number | null;
  /** Of the phase's GPU time. */
  readonly share: number | null;
  readonly flops: number;
  readonly bytes: number;
  readonly gflop_per_s: number | null;
  readonly gb_per_s: number | null;
  /** Of what the device can do at this mix of operations and bytes: the roofline of its own ceilings. */
  readonly share_of_roofline: number | null;
  readonly stages: readonly string[];
}

export interface Profile {
  readonly device: string;
  readonly prompt_tokens: number;
  readonly new_tokens: number;
  /** Where the times come from. */
  readonly clock: "gpu timestamps" | "unavailable: this device has no timestamp-query";
  readonly resolution_ns: number | null;
  readonly ceilings: Ceilings;
  readonly dispatches: readonly ProfiledDispatch[];
  readonly by_label: readonly ProfileRow[];
  readonly by_kernel: readonly ProfileRow[];
  /** What each intervention stage costs, in both phases; empty without interventions. */
  readonly stage_costs: readonly StageCost[];
  /** Milliseconds on the host's clock: of a phase with the profiler, and the same work without it, in the same run. */
  readonly wall: Readonly<Record<Phase, { readonly profiled_ms: number; readonly plain_ms: number }>>;
  readonly host: { readonly tokenize_ms: number | null; readonly compile_ms: Readonly<Record<string, number>> };
}

/** Runs of the same work without the profiler, against which its cost is stated. */
const PLAIN_RUNS = 3;

/**
 * Profiles one prefill of a prompt and decode steps behind it.
 * @param prompt a text, or token ids
 * @throws SluiceError `usage` for an empty prompt or a number of tokens out of range; `context_overflow`; `aborted`
 */
export async function profileModel(
  model: Model,
  prompt: string | readonly number[],
  options: ProfileOptions = {},
): Promise<Profile> {
  const { newTokens = 8, signal } = options;
  if (!Number.isSafeInteger(newTokens) || newTokens < 1) {
    throw new SluiceError("usage", `newTokens is ${newTokens}; it must be a whole number, 1 or more`);
  }
  const tokenizing = performance.now();
  const tokens = model.encode(prompt);
  const tokenize_ms = typeof prompt === "string" ? performance.now() - tokenizing : null;
  const { gpu, pipelines } = model.internals;
  // The ceilings' kernels are none of the model's.
  const apart = new PipelineCache(gpu);
  const survey = await surveyCeilings(gpu, apart, {
    signal,
    onProgress: (done, total) => options.onProgress?.("measuring ceilings", done, total),
  });
  const sequences = await model.openSequences({ context: tokens.length + newTokens, signal });
  const hasClock = model.device.features.timestampQuery;
  try {
    const lane = new ProfiledLane(sequences, tokens, newTokens, signal);
    await lane.run(undefined);
    const plain: Record<Phase, number>[] = [];
    for (let i = 0; i < PLAIN_RUNS; i++) {
      throwIfAborted(signal);
      plain.push((await lane.run(undefined)).wall);
      options.onProgress?.("profiling", i + 1, PLAIN_RUNS + 1);
    }
    const observer = hasClock ? new TimestampObserver(gpu, lane.mostDispatches) : undefined;
    const profiled = await lane.run(observer);
    observer?.dispose();
    const stage_costs = await stageCosts(model, tokens, newTokens, {
      signal,
      onProgress: (done, total) => options.onProgress?.("measuring stages", done, total),
    });
    const ceilings = await surveyAgain(gpu, apart, survey, { signal });
    const origin = profiled.timed.find(({ beginNs }) => beginNs !== null)?.beginNs ?? 0;
    const dispatches = profiled.timed.map((timed) => describe(timed, origin));
    const wall = (phase: Phase) => ({
      profiled_ms: profiled.wall[phase],
      plain_ms: median(plain.map((run) => run[phase])),
    });
    return {
      device: model.device.name,
      prompt_tokens: tokens.length,
      new_tokens: newTokens,
      clock: hasClock ? "gpu timestamps" : "unavailable: this device has no timestamp-query",
      resolution_ns: resolutionOf(profiled.timed),
      ceilings,
      dispatches,
      by_label: rowsOf(dispatches, ({ label }) => label, ceilings),
      by_kernel: rowsOf(dispatches, ({ kernel }) => kernel, ceilings),
      stage_costs,
      wall: { prefill: wall("prefill"), decode: wall("decode") },
      host: { tokenize_ms, compile_ms: Object.fromEntries(pipelines.compileMs) },
    };
  } finally {
    sequences.dispose();
  }
}

function describe(
  { phase, step, dispatch, kernel, cost, beginNs, endNs }: PhasedDispatch,
  origin: number,
): ProfiledDispatch {
  return {
    phase,
    step,
    label: dispatch.label,
    layer: dispatch.layer ?? null,
    kernel: kernel.name,
    stages: dispatch.stages ?? [],
    begin_ms: beginNs === null ? null : (beginNs - origin) / 1e6,
    ms: beginNs === null || endNs === null ? null : (endNs - beginNs) / 1e6,
    flops: cost.flops,
    bytes: cost.bytes,
  };
}

function rowsOf(
  dispatches: readonly ProfiledDispatch[],
  nameOf: (dispatch: ProfiledDispatch) => string,
  ceilings: Ceilings,
): readonly ProfileRow[] {
  const groups = new Map<string, ProfiledDispatch[]>();
  for (const dispatch of dispatches) {
    const key = `${dispatch.phase}\n${nameOf(dispatch)}`;
    groups.set(key, [...(groups.get(key) ?? []), dispatch]);
  }
  const sum = (list: readonly ProfiledDispatch[], of: (each: ProfiledDispatch) => number | null): number | null =>
    list.reduce<number | null>((total, each) => {
      const value = of(each);
      return total === null || value === null ? null : total + value;
    }, 0);
  const rows = [...groups.values()].map((list): ProfileRow => {
    const { phase } = list[0] as ProfiledDispatch;
    const ms = sum(list, (each) => each.ms);
    const total = sum(
      dispatches.filter((each) => each.phase === phase),
      (each) => each.ms,
    );
    const flops = sum(list, (each) => each.flops) ?? 0;
    const bytes = sum(list, (each) => each.bytes) ?? 0;
    const least = Math.max(flops / ceilings.fma_gflop_per_s, bytes / ceilings.read_gb_per_s) / 1e6;
    const per = (amount: number) => (ms === null || ms === 0 ? null : amount / ms / 1e6);
    return {
      phase,
      name: nameOf(list[0] as ProfiledDispatch),
      calls: list.length,
      ms,
      share: ms === null || total === null || total === 0 ? null : ms / total,
      flops,
      bytes,
      gflop_per_s: per(flops),
      gb_per_s: per(bytes),
      share_of_roofline: ms === null || ms === 0 ? null : least / ms,
      stages: [...new Set(list.flatMap(({ stages }) => stages))],
    };
  });
  return rows.sort((a, b) => (a.phase === b.phase ? (b.ms ?? 0) - (a.ms ?? 0) : a.phase === "prefill" ? -1 : 1));
}
