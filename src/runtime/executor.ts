/**
 * Runs a plan: owns the buffers and bind groups of one session, encodes steps into submits and reads results
 * back. Everything the GPU needs is made here once; a step only writes a few uniforms and encodes dispatches.
 */

import {
  allDispatches,
  type BufferRole,
  belongs,
  type Dispatch,
  isSplit,
  logitsOf,
  type Plan,
  type Tail,
} from "../compile/plan.ts";
import { throwIfAborted } from "../errors.ts";
import { Backlog } from "../execution/backlog.ts";
import { Pacer } from "../execution/pacer.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import { type Readback, ReadbackPool } from "../execution/readback.ts";
import type { Gpu } from "../gpu/open.ts";
import { inOrder, type Kernel, type Workload } from "../kernels/kernel.ts";
import { packArgs, packStep, type StepRows, stepByteLength } from "../kernels/step.ts";
import { costOf, kernelsFor, type PreparedDispatch, type PreparedKernel, sizeOf } from "./prepared.ts";
import type { DispatchWork, Head, HostObserver, Read, Run, StepSize } from "./run.ts";
import { SessionBuffers } from "./session-buffers.ts";
import type { GpuWeights } from "./weights.ts";

/** Steps whose uniforms can be in flight at once: the most that one run takes. */
export const MAX_STEPS_PER_RUN = 16;

interface UnknownSize {
  readonly key: string;
  readonly plan: Plan;
  readonly size: StepSize;
}

export interface ExecutorOptions {
  readonly gpu: Gpu;
  readonly pipelines: PipelineCache;
  readonly weights: GpuWeights;
  readonly plan: Plan;
  /** What runs while every stage is off; of the same size as `plan`. */
  readonly plain?: Plan;
  /** Both plans are compiled beforehand: stages may be turned on and off between two tokens. */
  readonly live?: boolean;
  /** `[capacity, head_dim/2]` pairs (cos, sin), for models that rotate. */
  readonly rope?: Float32Array<ArrayBuffer>;
  readonly onCompile?: (done: number, total: number) => void;
}

export class Executor {
  readonly plan: Plan;
  readonly #plain: Plan | undefined;
  readonly #live: boolean;
  /** Which of the two plans runs: the edited one, unless all stages are off. */
  #active: Plan;
  readonly #gpu: Gpu;
  readonly #readbacks: ReadbackPool;
  readonly #pacer: Pacer;
  readonly #backlog: Backlog;
  readonly #buffers: SessionBuffers;
  readonly #prepared = new Map<Dispatch, PreparedDispatch>();
  readonly #stepStride: number;
  readonly #stepWords: Uint32Array<ArrayBuffer>;
  readonly #stepBuffer: GPUBuffer;
  readonly #stepGroup: GPUBindGroup;
  readonly #pipelines: PipelineCache;
  readonly #onCompile: (done: number, total: number) => void;
  /** Step sizes whose kernels are ready. */
  readonly #readySizes = new Set<string>();
  #args: GPUBuffer | undefined;

  constructor(options: ExecutorOptions) {
    const { gpu, plan } = options;
    this.#pipelines = options.pipelines;
    this.#onCompile = options.onCompile ?? (() => undefined);
    this.plan = plan;
    this.#plain = options.plain;
    this.#live = options.live ?? false;
    this.#active = plan;
    this.#gpu = gpu;
    this.#pacer = new Pacer(plan.family);
    this.#backlog = new Backlog(gpu);
    this.#readbacks = new ReadbackPool(gpu);

    this.#buffers = new SessionBuffers(options);
    const alignment = gpu.device.limits.minUniformBufferOffsetAlignment;
    this.#stepStride = roundUp(stepByteLength(plan.maxRows), alignment);
    this.#stepWords = new Uint32Array((this.#stepStride * MAX_STEPS_PER_RUN) / 4);
    this.#stepBuffer = this.#buffers.own("steps", this.#stepWords.byteLength, GPUBufferUsage.UNIFORM);
    this.#stepGroup = gpu.device.createBindGroup({
      layout: options.pipelines.stepLayout,
      entries: [{ binding: 0, resource: { buffer: this.#stepBuffer, size: stepByteLength(plan.maxRows) } }],
    });

    this.#placeArgs(alignment);
  }

  /**
   * Compiles what steps of these sizes need and is not compiled yet, all at once, and makes their bind groups. `run`
   * does it for its own steps; asking ahead brings everything before the first token.
   */
  async prepare(sizes: readonly StepSize[], signal?: AbortSignal): Promise<void> {
    const missing: { readonly dispatch: Dispatch; readonly prepared: PreparedKernel }[] = [];
    const unknown = this.#unknownOf(sizes);
    for (const { plan, size } of unknown) {
      for (const dispatch of this.#listFor(size, plan)) {
        for (const prepared of kernelsFor(dispatch, dispatch.rows === "outs" ? size.outs : size.rows)) {
          if (!prepared.ready) missing.push({ dispatch: dispatch.planned, prepared });
        }
      }
    }
    if (missing.length > 0) {
      const kernels = missing.map(({ prepared }) => prepared.kernel);
      await this.#pipelines.prepare(kernels, this.#onCompile, signal);
      for (const { dispatch, prepared } of missing) prepared.ready ??= await this.#makeReady(dispatch, prepared);
    }
    for (const { key } of unknown) this.#readySizes.add(key);
  }

  /** The step sizes that are not known to be ready, for each plan that may run. */
  #unknownOf(sizes: readonly StepSize[]): readonly UnknownSize[] {
    return this.plansInUse.flatMap((plan) =>
      sizes.flatMap((size): UnknownSize[] => {
        const { rows, outs, keys, head, tail } = size;
        const split = isSplit(plan, rows, keys) ? "/split" : "";
        const key = `${plan === this.plan ? "edited" : "plain"}/${rows}/${outs}/${head}/${tail}${split}`;
        return this.#readySizes.has(key) ? [] : [{ key, plan, size }];
      }),
    );
  }

  /** The plans that may run between two tokens: while stages are live, the plain one too. */
  get plansInUse(): readonly Plan[] {
    return this.#live && this.#plain ? [this.plan, this.#plain] : [this.#active];
  }

  /** The plan that runs now. */
  get activePlan(): Plan {
    return this.#active;
  }

  /** Bytes of a buffer, once all that was submitted is done. */
  async read({ role, offset, byteLength }: Read): Promise<ArrayBuffer> {
    this.#gpu.checkAlive();
    const encoder = this.#gpu.device.createCommandEncoder();
    const readback = this.#readbacks.copy(encoder, this.buffer(role), offset, byteLength);
    this.#gpu.device.queue.submit([encoder.finish()]);
    return readback.bytes();
  }

  /** Lets the plain plan run in place of the edited one, or the edited one again. */
  setEdited(isEdited: boolean): void {
    this.#active = isEdited ? this.plan : (this.#plain ?? this.plan);
  }

  /** Writes token ids into the token table, `index` counted in ids. */
  writeTokens(index: number, ids: Uint32Array<ArrayBuffer>): void {
    this.#gpu.device.queue.writeBuffer(this.buffer({ role: "tokens" }), index * 4, ids);
  }

  /** Writes `words` into a buffer of this session at a byte offset. */
  write(role: BufferRole, offset: number, words: Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>): void {
    this.#gpu.device.queue.writeBuffer(this.buffer(role), offset, words);
  }

  /** Writes the whole scope buffer, which grows where it is too small. */
  writeScopes(words: Uint32Array<ArrayBuffer>): void {
    if (this.#buffers.growScopes(words.byteLength)) {
      for (const { planned, candidates } of this.#prepared.values()) {
        if (!Object.values(planned.bind).some(({ role }) => role === "scopes")) continue;
        for (const prepared of candidates.flatMap(({ kernels }) => kernels)) {
          if (prepared.ready) prepared.ready = { ...prepared.ready, bindings: this.#bindingsOf(planned, prepared) };
        }
      }
    }
    this.write({ role: "scopes" }, 0, words);
  }

  /** Makes what so many reads of a size need that are under way at once. @throws SluiceError `device_limit` */
  reserveReads(count: number, byteLength: number): void {
    this.#readbacks.reserve(count, byteLength);
  }

  /** What a step of these rows amounts to, dispatch by dispatch, in the plan that would run now. */
  worksOf(step: StepRows, head: Head, tail: Tail): readonly DispatchWork[] {
    return [...this.#kernelsOf(step, head, tail)].map(({ dispatch, prepared, work }) => {
      return { dispatch, kernel: prepared.kernel, work, cost: costOf(prepared, work) };
    });
  }

  /** Milliseconds a step of these rows is expected to take, by cost and what was measured so far. */
  estimateStep(step: StepRows, head: Head, tail: Tail): number {
    let total = 0;
    for (const { prepared, work } of this.#kernelsOf(step, head, tail)) {
      total += this.#pacer.estimate(costOf(prepared, work));
    }
    return total;
  }

  /**
   * Runs up to MAX_STEPS_PER_RUN steps in order and resolves to the bytes of each read.
   * @throws SluiceError `aborted` between submits, `device_lost`, `gpu`
   */
  async run(run: Run): Promise<readonly ArrayBuffer[]> {
    return (await this.submit(run)).bytes();
  }

  /**
   * As `run`, resolving once everything is submitted and all but the last submit is done: the next run may begin before the
   * bytes of this one are there. `bytes` throws what `run` would; a read that fails and that nobody asks for is dropped. Where
   * its kernels are ready, the first submit is made before this returns.
   */
  async submit(run: Run): Promise<{ bytes(): Promise<readonly ArrayBuffer[]> }> {
    this.#gpu.checkAlive();
    const { device } = this.#gpu;
    const { head, tail, host } = run;
    const sizes = run.steps.map((step) => sizeOf(step, head, tail));
    if (this.#unknownOf(sizes).length > 0) await this.prepare(sizes, run.signal);
    host?.enter("encode");
    run.steps.forEach((step, i) => {
      packStep(step, this.plan.maxRows, this.#stepWords.subarray((i * this.#stepStride) / 4));
    });
    device.queue.writeBuffer(this.#stepBuffer, 0, this.#stepWords, 0, (run.steps.length * this.#stepStride) / 4);

    let estimated = 0;
    let encoder = device.createCommandEncoder();
    let pass = encoder.beginComputePass();
    // Every call of a pass crosses into the driver: what is set already is not set again.
    let [boundStep, boundPipeline]: [number, GPUComputePipeline | undefined] = [-1, undefined];
    const beginPass = (descriptor?: GPUComputePassDescriptor): GPUComputePassEncoder => {
      [boundStep, boundPipeline] = [-1, undefined];
      return encoder.beginComputePass(descriptor);
    };
    for (const [i, step] of run.steps.entries()) {
      for (const { dispatch, prepared, work } of this.#kernelsOf(step, run.head, run.tail)) {
        const { kernel } = prepared;
        const cost = this.#pacer.estimate(costOf(prepared, work));
        if (estimated > 0 && (estimated + cost > this.#pacer.budgetMs || run.observer?.alone)) {
          pass.end();
          const commands = encoder.finish();
          host?.enter("submit");
          const free = this.#handOver(commands, estimated);
          host?.enter("wait");
          await free;
          if (run.observer?.alone) await this.#gpu.idle();
          throwIfAborted(run.signal);
          host?.enter("encode");
          encoder = device.createCommandEncoder();
          pass = beginPass();
          estimated = 0;
        }
        estimated += cost;
        if (run.observer) {
          pass.end();
          pass = beginPass(run.observer.begin({ dispatch, kernel, work, cost: costOf(prepared, work) }));
        }
        const { pipeline, bindings } = prepared.ready as NonNullable<PreparedKernel["ready"]>;
        if (pipeline !== boundPipeline) pass.setPipeline(pipeline);
        if (i !== boundStep) pass.setBindGroup(0, this.#stepGroup, [i * this.#stepStride]);
        [boundStep, boundPipeline] = [i, pipeline];
        pass.setBindGroup(1, bindings);
        pass.dispatchWorkgroups(...kernel.workgroups(work.rows));
      }
    }
    pass.end();
    run.observer?.finish(encoder);
    const readbacks: Readback[] = run.reads.map(({ role, offset, byteLength }) =>
      this.#readbacks.copy(encoder, this.buffer(role), offset, byteLength),
    );
    const commands = encoder.finish();
    host?.enter("submit");
    const free = this.#handOver(commands, estimated);
    host?.enter("wait");
    const collected = this.#collect(readbacks, host);
    collected.catch(() => undefined);
    await free;
    return {
      bytes: async () => {
        const list = await collected;
        this.#gpu.checkAlive();
        return list;
      },
    };
  }

  /** Submits, and learns how long it took. @returns when the submit before is done, whichever run it was of */
  #handOver(commands: GPUCommandBuffer, estimatedMs: number): Promise<void> {
    return this.#backlog.submit(commands, (ms) => this.#pacer.observe(estimatedMs, ms));
  }

  async #collect(readbacks: readonly Readback[], host: HostObserver | undefined): Promise<readonly ArrayBuffer[]> {
    const bytes = await Promise.all(readbacks.map((readback) => readback.bytes()));
    host?.leave();
    return bytes;
  }

  /** Frees every buffer of the session. The weights are not its own. */
  dispose(): void {
    this.#readbacks.dispose();
    this.#buffers.dispose();
  }

  buffer(role: BufferRole): GPUBuffer {
    return this.#buffers.of(
      role.role === "logits" ? { role: "activation", index: logitsOf(this.#active).index } : role,
    );
  }

  /** What a step runs, in order, in the plan that would run now. */
  *#kernelsOf(
    step: StepRows,
    head: Head,
    tail: Tail,
  ): Generator<{ readonly dispatch: Dispatch; readonly prepared: PreparedKernel; readonly work: Workload }> {
    const keys = step.rows.reduce((sum, row) => sum + row.position + 1, 0);
    for (const dispatch of this.#listFor(sizeOf(step, head, tail), this.#active)) {
      const rows = dispatch.rows === "outs" ? step.outs.length : step.rows.length;
      const work = { rows, keys: dispatch.readsCache ? keys : 0 };
      for (const prepared of kernelsFor(dispatch, rows)) yield { dispatch: dispatch.planned, prepared, work };
    }
  }

  /** The dispatches of a step, in order. Without out rows it ends with the blocks. */
  *#listFor({ rows, outs, keys, head, tail }: StepSize, plan: Plan): Generator<PreparedDispatch> {
    const lists = [plan.body];
    if (outs > 0 && head !== "none") {
      lists.push(plan.finalNorm);
      if (head === "logits") lists.push(plan.head);
      if (tail !== "none") lists.push(plan.tails[tail]);
    }
    for (const list of lists) {
      for (const planned of list) {
        if (belongs(planned, plan, rows, keys)) yield this.#prepared.get(planned) as PreparedDispatch;
      }
    }
  }

  /** Writes the args of every dispatch and candidate into one uniform buffer. */
  #placeArgs(alignment: number): void {
    const blocks: { readonly offset: number; readonly words: Uint32Array }[] = [];
    let end = 0;
    for (const planned of [this.plan, ...(this.#plain ? [this.#plain] : [])].flatMap(allDispatches)) {
      const place = (kernel: Kernel): PreparedKernel => {
        const words = packArgs(kernel, planned.args);
        const offset = end;
        blocks.push({ offset, words });
        end = roundUp(end + words.byteLength, alignment);
        return { kernel, argsOffset: offset, argsBytes: words.byteLength, last: undefined, ready: undefined };
      };
      const candidates = planned.candidates.map(({ maxRows, kernel }) => {
        return { maxRows, kernels: inOrder(kernel).map(place) };
      });
      this.#prepared.set(planned, { planned, rows: planned.rows, readsCache: planned.readsCache, candidates });
    }
    const contents = new Uint32Array(end / 4);
    for (const { offset, words } of blocks) contents.set(words, offset / 4);
    this.#args = this.#buffers.own("args", contents.byteLength, GPUBufferUsage.UNIFORM);
    this.#gpu.device.queue.writeBuffer(this.#args, 0, contents);
  }

  async #makeReady(dispatch: Dispatch, prepared: PreparedKernel): Promise<NonNullable<PreparedKernel["ready"]>> {
    const pipeline = await this.#pipelines.get(prepared.kernel);
    return { pipeline, bindings: this.#bindingsOf(dispatch, prepared) };
  }

  #bindingsOf(dispatch: Dispatch, { kernel, argsOffset, argsBytes }: PreparedKernel): GPUBindGroup {
    const entries = kernel.bindings.map(({ name, binding, access }): GPUBindGroupEntry => {
      if (access === "args") {
        return { binding, resource: { buffer: this.#args as GPUBuffer, offset: argsOffset, size: argsBytes } };
      }
      const role = dispatch.bind[name];
      if (!role) throw new Error(`${dispatch.label}: the plan connects nothing to ${name} of ${kernel.name}`);
      const offset = role.role === "activation" ? (role.offset ?? 0) : 0;
      return { binding, resource: { buffer: this.buffer(role), offset } };
    });
    const label = `${dispatch.label} ${kernel.name}`;
    return this.#gpu.device.createBindGroup({ label, layout: this.#pipelines.layoutOf(kernel), entries });
  }
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
