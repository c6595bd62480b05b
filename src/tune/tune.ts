/**
 * The tuner: times the kernels that can serve a model's operations on its device, for few rows and many, and chooses.
 * Operations are named by shapes and types alone (kernels/variants.ts), so that a model with stages uses the kernels
 * chosen for it without stages.
 */

import { ropeTable } from "../architectures/rope.ts";
import type { FusedOp } from "../compile/fused.ts";
import { lower, MAX_ROWS } from "../compile/lower.ts";
import { allDispatches, type Dispatch, type Plan } from "../compile/plan.ts";
import type { WeightLayout } from "../compile/weight-layout.ts";
import { SluiceError, throwIfAborted } from "../errors.ts";
import { PipelineCache } from "../execution/pipelines.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Graph } from "../graph/graph.ts";
import { inOrder, type Kernel, type KernelFamily } from "../kernels/kernel.ts";
import type { CacheDtype } from "../kernels/linear/epilogue.ts";
import {
  GUESS,
  type KernelChoices,
  measuredRows,
  type Operation,
  operationKey,
  type RowBucket,
  rowBuckets,
  variantsFor,
} from "../kernels/variants.ts";
import { Budget } from "./budget.ts";
import { ClockFailure, decide, type Outcome, sampleRun } from "./contest.ts";
import { openStopwatch, type Stopwatch } from "./stopwatch.ts";
import { type Weights, Workbench } from "./workbench.ts";

/** The parts of a loaded model that the tuner uses. */
export interface TuneTarget {
  readonly gpu: Gpu;
  readonly graph: Graph;
  readonly ops: readonly FusedOp[];
  readonly layout: WeightLayout;
  readonly weights: Weights;
  readonly family: KernelFamily;
  /** How the model caches keys and values; default f32. */
  readonly cache?: CacheDtype;
}

export interface TuneOptions {
  /** Time limit. */
  readonly budgetMs: number;
  /** Known choices, which are not measured again. */
  readonly known?: KernelChoices;
  /** Do nothing if a choice is known for one of the model's operations. */
  readonly onlyNew?: boolean;
  readonly signal?: AbortSignal | undefined;
  onProgress?(done: number, total: number): void;
}

/** The result for one operation and number of rows. */
export interface TunedOperation {
  /** `linear qkv`, `768x2304`, `f32`. */
  readonly operation: string;
  /** Such as `768x2304`, inputs by outputs. */
  readonly shape: string;
  /** Type of the weights. */
  readonly dtype: string;
  /** Maximum number of rows; "more": any number. */
  readonly rows: RowBucket;
  /** Microseconds of one run, by the variant's name: the minimum of all samples. */
  readonly candidates: Readonly<Record<string, number>>;
  /** Name of the variant that the engine guesses. */
  readonly guess: string;
  /** Name of the variant used from now on. */
  readonly chosen: string;
  /** The chosen kernel's time relative to the guess. */
  readonly ratio_to_guess: number;
}

/** The measurements and choices of {@link tuneModel}. */
export interface TuningReport {
  /** The device's name. */
  readonly device: string;
  /** The clock that timed the kernels, and its step in microseconds. */
  readonly clock: { readonly source: Stopwatch["source"]; readonly step_us: number };
  /** Duration. */
  readonly seconds: number;
  /** Number of operations and numbers of rows that were decided in time. */
  readonly decided: number;
  /** Number of operations and numbers of rows to decide. */
  readonly total: number;
  /** One per operation and number of rows. */
  readonly results: readonly TunedOperation[];
}

/** Positions of the cache on which kernels are timed. */
const CONTEXT = 512;
/** Decode and prefill are timed at this position. */
const POSITION = 256;
/** Decode first, since most tokens are decoded, then long prompts, then the rest. */
const bucketOrder: readonly RowBucket[] = ["1", "more", "64", "8", "4", "16", "2", "6", "12", "32"];

/** Operations with different keys; their dispatches, one per layer. */
interface Task {
  readonly operation: Operation;
  readonly dispatches: readonly Dispatch[];
  readonly bucket: RowBucket;
  readonly rows: number;
}

/**
 * @returns new and known choices, and the measurements behind them
 * @throws SluiceError `aborted`, `device_limit`, `device_lost`, `gpu`
 */
export async function tuneKernels(
  target: TuneTarget,
  options: TuneOptions,
): Promise<{ readonly choices: KernelChoices; readonly report: TuningReport }> {
  const { gpu, graph, ops, layout, family, cache = "f32" } = target;
  const { config } = graph;
  const started = performance.now();
  const budget = new Budget(options.budgetMs, options.signal);
  const capacity = Math.min(CONTEXT, config.max_position_embeddings);
  const plan = lower(graph, ops, layout, {
    family,
    reference: false,
    cache,
    sequences: 1,
    capacity,
    chunkRows: Math.min(measuredRows("more"), MAX_ROWS, capacity),
    maxStorageBufferBindingSize: gpu.profile.limits.maxStorageBufferBindingSize,
    subgroups: gpu.profile.features.subgroups !== null,
  });
  const known = options.known ?? {};
  const isNew = allDispatches(plan).every(({ operation }) => !operation || !(operationKey(operation) in known));
  const tasks = options.onlyNew && !isNew ? [] : tasksOf(plan, known);
  // Losing kernels are compiled only for this: they are freed with the tuner.
  const pipelines = new PipelineCache(gpu);
  const rope = config.rope && ropeTable(config.rope, config.head_dim, plan.capacity);
  const bench = new Workbench(gpu, pipelines, plan, target.weights, rope);
  const chosen: Record<string, Partial<Record<RowBucket, string>>> = structuredClone(known);
  const results: TunedOperation[] = [];
  /** Variants that are not tried any more, by kind of operation and bucket. */
  const hopeless = new Map<string, readonly string[]>();
  let stopwatch: Stopwatch | undefined;
  try {
    await gpu.checkAllocations();
    for (const [i, task] of tasks.entries()) {
      throwIfAborted(options.signal);
      if (!budget.mayGoOn()) break;
      const candidates = candidatesOf(task);
      const kind = `${task.operation.name.split(" ", 1)[0]} ${task.bucket}`;
      for (const name of hopeless.get(kind) ?? []) candidates.delete(name);
      const kernels = [...candidates.values()].flatMap(inOrder);
      if (!(await budget.allows((signal) => pipelines.prepare(kernels, undefined, signal)))) break;
      stopwatch ??= await clockFor(gpu, bench, task);
      const outcome = await contestOf(task, candidates, bench, stopwatch, budget);
      if (!outcome) break;
      hopeless.set(kind, [...(hopeless.get(kind) ?? []), ...outcome.hopeless]);
      const result = describe(task, candidates, outcome);
      results.push(result);
      const key = operationKey(task.operation);
      chosen[key] = { ...chosen[key], [task.bucket]: result.chosen === result.guess ? GUESS : result.chosen };
      options.onProgress?.(i + 1, tasks.length);
    }
    const report: TuningReport = {
      device: gpu.profile.name,
      clock: { source: stopwatch?.source ?? "host clock", step_us: (stopwatch?.stepMs ?? 0) * 1000 },
      seconds: (performance.now() - started) / 1000,
      decided: results.length,
      total: tasks.length,
      results,
    };
    return { choices: chosen, report };
  } finally {
    stopwatch?.dispose();
    bench.dispose();
    pipelines.dispose();
  }
}

/** The decisions to make, most important first. */
function tasksOf(plan: Plan, known: KernelChoices): readonly Task[] {
  const groups = new Map<string, { readonly operation: Operation; readonly dispatches: Dispatch[] }>();
  for (const dispatch of allDispatches(plan)) {
    const { operation } = dispatch;
    if (!operation) continue;
    const key = operationKey(operation);
    const group = groups.get(key) ?? { operation, dispatches: [] };
    group.dispatches.push(dispatch);
    groups.set(key, group);
  }
  // Small ones first: they show cheaply what larger ones need not try.
  const byCost = [...groups.values()].sort((a, b) => decodeBytes(a.dispatches) - decodeBytes(b.dispatches));
  const tasks = bucketOrder.flatMap((bucket) =>
    byCost.flatMap(({ operation, dispatches }): Task[] => {
      // A short context has no larger steps.
      const rows = Math.min(measuredRows(bucket), plan.chunkRows);
      // The head's buffer may have room for fewer rows.
      const own = dispatches.filter((dispatch) => rows <= (dispatch.rows === "outs" ? plan.chunkOuts : plan.chunkRows));
      const task = { operation, dispatches: own, bucket, rows };
      if (own.length === 0 || !(operation.tunedRows ?? rowBuckets).includes(bucket)) return [];
      if (known[operationKey(operation)]?.[bucket] !== undefined || candidatesOf(task).size < 2) return [];
      return [task];
    }),
  );
  return [0, 1, 2].flatMap((when) => tasks.filter((task) => turnOf(task) === when));
}

/**
 * Matrices come first in decode and prefill: they take most of the time, and attention's kernels the longest to compile.
 * The head gets more than one row only in batches and measurements of text.
 */
function turnOf({ bucket, dispatches }: Task): number {
  if (bucket !== "1" && dispatches.every(({ rows }) => rows === "outs")) return 2;
  return (bucket === "1" || bucket === "more") && !dispatches.some(({ readsCache }) => readsCache) ? 0 : 1;
}

function decodeBytes(dispatches: readonly Dispatch[]): number {
  return dispatches.reduce((sum, { candidates, readsCache }) => {
    return sum + (candidates[0]?.kernel.cost({ rows: 1, keys: readsCache ? POSITION : 0 }).bytes ?? 0);
  }, 0);
}

/** By name; the guess first. */
function candidatesOf({ operation, bucket, rows }: Pick<Task, "operation" | "bucket" | "rows">): Map<string, Kernel> {
  const all = variantsFor(operation, bucket);
  const guess = operation.guess.find(({ maxRows }) => rows <= maxRows)?.kernel;
  const first = all.find(({ kernel }) => kernel.name === guess?.name);
  // If the guess is not one of the variants, they do not replace it.
  if (!first) return new Map();
  return new Map([first, ...all.filter((variant) => variant !== first)].map(({ name, kernel }) => [name, kernel]));
}

async function clockFor(gpu: Gpu, bench: Workbench, { dispatches, operation }: Task): Promise<Stopwatch> {
  const kernel = operation.guess[0]?.kernel as Kernel;
  bench.begin(1, POSITION);
  const encode = await bench.prepare(dispatches, kernel, 1);
  return openStopwatch(gpu, (pass) => encode(pass, 1)).catch((error: unknown) => refuse(error, "host clock"));
}

/** Turns a failed clock into an error with a hint; rethrows everything else. */
function refuse(error: unknown, source: Stopwatch["source"]): never {
  if (!(error instanceof ClockFailure)) throw error;
  throw new SluiceError("gpu", `Kernels cannot be timed on this device: ${error.message} (${source})`, {
    hint: "Use the built-in choice: tune: false.",
    field: "tune",
    cause: error,
  });
}

/** @returns null if time ran out */
async function contestOf(
  { dispatches, rows }: Task,
  candidates: ReadonlyMap<string, Kernel>,
  bench: Workbench,
  stopwatch: Stopwatch,
  budget: Budget,
): Promise<Outcome | null> {
  bench.begin(rows, POSITION);
  const [guess = "", ...challengers] = candidates.keys();
  const repeats = new Map<string, number>();
  const sample = async (name: string): Promise<number> => {
    const encode = await bench.prepare(dispatches, candidates.get(name) as Kernel, rows);
    const time = (count: number) => stopwatch.time((pass) => encode(pass, count));
    const { ms, repeats: enough } = await sampleRun(time, stopwatch.stepMs, repeats.get(name));
    repeats.set(name, enough);
    return ms;
  };
  return decide({
    guess,
    challengers,
    sample: (name) => budget.during(sample(name)),
    mayGoOn: () => budget.mayGoOn(),
  }).catch((error: unknown) => refuse(error, stopwatch.source));
}

function describe(
  { operation, bucket }: Task,
  candidates: ReadonlyMap<string, Kernel>,
  { chosen, times }: Outcome,
): TunedOperation {
  const [guess = ""] = candidates.keys();
  return {
    operation: operation.name,
    shape: operation.shape,
    dtype: operation.dtype,
    rows: bucket,
    candidates: Object.fromEntries([...times].map(([name, ms]) => [name, ms * 1000])),
    guess,
    chosen,
    ratio_to_guess: (times.get(chosen) as number) / (times.get(guess) as number),
  };
}
