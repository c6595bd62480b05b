/** The dispatches of a session's plans, connected to its buffers when the first step needs them. */
import {
  allDispatches,
  type BufferRole,
  belongs,
  type Dispatch,
  isSplit,
  type Plan,
  type Tail,
} from "../compile/plan.ts";
import type { BoundKernel, Dispatcher } from "../execution/dispatcher.ts";
import type { PacedLaunch } from "../execution/paced-run.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import { type Cost, inOrder, type Kernel, type Workload } from "../kernels/kernel.ts";
import type { StepRows } from "../kernels/step.ts";
import type { DispatchWork, Head, StepSize } from "./run.ts";

interface PreparedCandidate {
  readonly maxRows: number;
  /** As the plan has it, with its merge. */
  readonly chosen: Kernel;
  readonly kernels: readonly PricedKernel[];
  /** Of each of the kernels; made when the first step needs them. */
  bound: readonly BoundKernel[] | undefined;
}

/** A kernel with its last cost: decode steps differ in the keys that they see, and most kernels see none. */
interface PricedKernel {
  readonly kernel: Kernel;
  last: { readonly rows: number; readonly keys: number; readonly cost: Cost } | undefined;
}

interface PreparedDispatch {
  readonly planned: Dispatch;
  readonly candidates: readonly PreparedCandidate[];
}

/** How far the steps of a run go. */
export interface Extent {
  readonly head: Head;
  readonly tail: Tail;
}

/** A dispatch of a step that can be run. */
export type StepLaunch = PacedLaunch & DispatchWork;

export interface PreparedPlansOptions {
  readonly plans: readonly Plan[];
  readonly dispatcher: Dispatcher;
  readonly pipelines: PipelineCache;
  bufferOf(role: BufferRole): GPUBuffer;
  readonly onCompile: (done: number, total: number) => void;
}

export class PreparedPlans {
  readonly #options: PreparedPlansOptions;
  readonly #dispatches: ReadonlyMap<Dispatch, PreparedDispatch>;
  /** Keys of plans and step sizes whose kernels are bound. */
  readonly #ready = new Set<string>();

  constructor(options: PreparedPlansOptions) {
    this.#options = options;
    this.#dispatches = new Map(options.plans.flatMap(allDispatches).map((planned) => [planned, preparedOf(planned)]));
  }

  /** Whether steps of these sizes need no compiling and no binding. */
  isReady(plans: readonly Plan[], sizes: readonly StepSize[]): boolean {
    return plans.every((plan) => sizes.every((size) => this.#ready.has(this.#keyOf(plan, size))));
  }

  /**
   * Compiles what steps of these sizes need and is not compiled yet, all at once, and makes their bind groups.
   * @throws SluiceError `aborted`, `gpu`, `device_lost`
   */
  async prepare(plans: readonly Plan[], sizes: readonly StepSize[], signal?: AbortSignal): Promise<void> {
    const { pipelines, dispatcher, onCompile } = this.#options;
    const pairs = plans.flatMap((plan) => sizes.map((size) => ({ plan, size, key: this.#keyOf(plan, size) })));
    const unknown = pairs.filter(({ key }) => !this.#ready.has(key));
    const missing = new Map<PreparedCandidate, Dispatch>();
    for (const { plan, size } of unknown) {
      for (const { planned, candidates } of this.#listFor(plan, size)) {
        const candidate = candidateFor(candidates, planned.rows === "outs" ? size.outs : size.rows);
        if (!candidate.bound) missing.set(candidate, planned);
      }
    }
    if (missing.size > 0) {
      const kernels = [...missing.keys()].flatMap(({ chosen }) => inOrder(chosen));
      await pipelines.prepare(kernels, onCompile, signal);
      for (const [candidate, planned] of missing) {
        const bound = await dispatcher.bind(candidate.chosen, {
          label: planned.label,
          args: planned.args,
          bufferOf: (name) => this.#bindingOf(planned, name),
        });
        // Another call may have bound it meanwhile.
        if (candidate.bound) dispatcher.forget(bound);
        else candidate.bound = bound;
      }
    }
    for (const { key } of unknown) this.#ready.add(key);
  }

  /** What is bound to a role has another buffer now: it is bound again before its next run. */
  forget(role: BufferRole["role"]): void {
    for (const { planned, candidates } of this.#dispatches.values()) {
      if (!Object.values(planned.bind).some((bound) => bound.role === role)) continue;
      this.#unbind(candidates);
    }
    this.#ready.clear();
  }

  /** Lets go of everything that is bound. */
  dispose(): void {
    for (const { candidates } of this.#dispatches.values()) this.#unbind(candidates);
    this.#ready.clear();
  }

  #unbind(candidates: readonly PreparedCandidate[]): void {
    for (const candidate of candidates) {
      if (candidate.bound) this.#options.dispatcher.forget(candidate.bound);
      candidate.bound = undefined;
    }
  }

  /** What a step runs, in order. */
  *works(plan: Plan, step: StepRows, extent: Extent): Generator<DispatchWork> {
    for (const { planned, candidate, work } of this.#chosen(plan, step, extent)) {
      for (const priced of candidate.kernels) {
        yield { dispatch: planned, kernel: priced.kernel, work, cost: costOf(priced, work) };
      }
    }
  }

  /** The launches of steps whose sizes are ready, in order. */
  *launches(plan: Plan, steps: readonly StepRows[], extent: Extent): Generator<StepLaunch> {
    for (const [index, step] of steps.entries()) {
      for (const { planned, candidate, work } of this.#chosen(plan, step, extent)) {
        const { kernels, bound } = candidate;
        if (!bound) throw new Error(`${planned.label} is not ready`);
        for (const [i, { kernel, pipeline, group }] of bound.entries()) {
          const cost = costOf(kernels[i] as PricedKernel, work);
          const workgroups = kernel.workgroups(work.rows);
          yield { dispatch: planned, kernel, work, cost, pipeline, group, step: index, workgroups };
        }
      }
    }
  }

  /** The dispatches of a step with the candidate that serves its rows. */
  *#chosen(
    plan: Plan,
    step: StepRows,
    { head, tail }: Extent,
  ): Generator<{ readonly planned: Dispatch; readonly candidate: PreparedCandidate; readonly work: Workload }> {
    const keys = step.rows.reduce((sum, row) => sum + row.position + 1, 0);
    for (const { planned, candidates } of this.#listFor(plan, sizeOf(step, head, tail))) {
      const rows = planned.rows === "outs" ? step.outs.length : step.rows.length;
      const work = { rows, keys: planned.readsCache ? keys : 0 };
      yield { planned, candidate: candidateFor(candidates, rows), work };
    }
  }

  /** The dispatches of a step, in order. Without out rows it ends with the blocks. */
  *#listFor(plan: Plan, { rows, outs, keys, head, tail }: StepSize): Generator<PreparedDispatch> {
    const lists = [plan.body];
    if (outs > 0 && head !== "none") {
      lists.push(plan.finalNorm);
      if (head === "logits") lists.push(plan.head);
      if (tail !== "none") lists.push(plan.tails[tail]);
    }
    for (const list of lists) {
      for (const planned of list) {
        if (belongs(planned, plan, rows, keys)) yield this.#dispatches.get(planned) as PreparedDispatch;
      }
    }
  }

  #bindingOf({ bind }: Dispatch, name: string): GPUBufferBinding | undefined {
    const role = bind[name];
    if (!role) return undefined;
    const offset = role.role === "activation" ? (role.offset ?? 0) : 0;
    return { buffer: this.#options.bufferOf(role), offset };
  }

  #keyOf(plan: Plan, { rows, outs, keys, head, tail }: StepSize): string {
    const split = isSplit(plan, rows, keys) ? "/split" : "";
    return `${this.#options.plans.indexOf(plan)}/${rows}/${outs}/${head}/${tail}${split}`;
  }
}

export function sizeOf({ rows, outs }: StepRows, head: Head, tail: Tail): StepSize {
  const keys = rows.reduce((most, { position }) => Math.max(most, position + 1), 0);
  return { rows: rows.length, outs: outs.length, keys, head, tail };
}

function preparedOf(planned: Dispatch): PreparedDispatch {
  const candidates = planned.candidates.map(({ maxRows, kernel }): PreparedCandidate => {
    const kernels = inOrder(kernel).map((each): PricedKernel => ({ kernel: each, last: undefined }));
    return { maxRows, chosen: kernel, kernels, bound: undefined };
  });
  return { planned, candidates };
}

function costOf(priced: PricedKernel, { rows, keys }: Workload): Cost {
  const { last, kernel } = priced;
  if (last && last.rows === rows && last.keys === keys) return last.cost;
  const cost = kernel.cost({ rows, keys });
  priced.last = { rows, keys, cost };
  return cost;
}

function candidateFor(candidates: readonly PreparedCandidate[], rows: number): PreparedCandidate {
  for (const candidate of candidates) if (rows <= candidate.maxRows) return candidate;
  throw new Error(`No kernel of the plan serves ${rows} rows`);
}
