/**
 * Runs a plan: owns the buffers and bind groups of one session, encodes steps into submits and reads results
 * back. Everything the GPU needs is made here once; a step only writes a few uniforms and encodes dispatches.
 */

import { type BufferRole, logitsOf, type Plan, type Tail } from "../compile/plan.ts";
import { Dispatcher } from "../execution/dispatcher.ts";
import type { Reads } from "../execution/paced-run.ts";
import { Pacer } from "../execution/pacer.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import type { DeviceWords, Gpu } from "../gpu/gpu.ts";
import type { StepRows } from "../kernels/step.ts";
import { PreparedPlans, type StepLaunch, sizeOf } from "./prepared.ts";
import type { DispatchWork, Head, Read, Run, StepSize } from "./run.ts";
import { SessionBuffers } from "./session-buffers.ts";
import type { GpuWeights } from "./weights.ts";

/** Steps whose uniforms can be in flight at once: the most that one run takes. */
export const MAX_STEPS_PER_RUN = 16;

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
  readonly #pacer: Pacer;
  readonly #dispatcher: Dispatcher;
  readonly #buffers: SessionBuffers;
  readonly #prepared: PreparedPlans;
  #isDisposed = false;

  constructor(options: ExecutorOptions) {
    const { gpu, pipelines, plan, plain } = options;
    this.plan = plan;
    this.#plain = plain;
    this.#live = options.live ?? false;
    this.#active = plan;
    this.#gpu = gpu;
    this.#pacer = new Pacer(plan.family);
    this.#dispatcher = new Dispatcher({ gpu, pipelines, label: "session", maxRows: plan.maxRows });
    try {
      this.#buffers = new SessionBuffers(this.#dispatcher.owned, options);
      this.#dispatcher.makeSteps(MAX_STEPS_PER_RUN);
    } catch (error) {
      this.#dispatcher.dispose();
      throw error;
    }
    gpu.tally.take("sessions");
    this.#prepared = new PreparedPlans({
      plans: plain ? [plan, plain] : [plan],
      dispatcher: this.#dispatcher,
      pipelines,
      bufferOf: (role) => this.buffer(role),
      onCompile: options.onCompile ?? (() => undefined),
    });
  }

  /**
   * Compiles what steps of these sizes need and is not compiled yet, all at once, and makes their bind groups. `run`
   * does it for its own steps; asking ahead brings everything before the first token.
   */
  async prepare(sizes: readonly StepSize[], signal?: AbortSignal): Promise<void> {
    await this.#prepared.prepare(this.plansInUse, sizes, signal);
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
    const readback = this.#dispatcher.readbacks.copy(encoder, this.buffer(role), offset, byteLength);
    this.#gpu.device.queue.submit([encoder.finish()]);
    return readback.bytes();
  }

  /** Lets the plain plan run instead of the edited one, or the edited one again. */
  setEdited(isEdited: boolean): void {
    this.#active = isEdited ? this.plan : (this.#plain ?? this.plan);
  }

  /** Writes token ids into the token table, `index` counted in ids. */
  writeTokens(index: number, ids: Uint32Array<ArrayBuffer>): void {
    this.write({ role: "tokens" }, index * 4, ids);
  }

  /** Writes `words` into a buffer of this session at a byte offset. */
  write(role: BufferRole, offset: number, words: DeviceWords): void {
    // Work that is under way when the session ends makes no buffer for what it writes.
    if (this.#isDisposed) return;
    this.#gpu.write(this.buffer(role), offset, words);
  }

  /** Writes the whole scope buffer, which grows if it is too small. */
  writeScopes(words: Uint32Array<ArrayBuffer>): void {
    if (this.#buffers.grow("scopes", words.byteLength)) this.#prepared.forget("scopes");
    this.write({ role: "scopes" }, 0, words);
  }

  /** Makes room in the stage table. @returns whether its contents are lost */
  growStages(byteLength: number): boolean {
    const grown = this.#buffers.grow("stages", byteLength, this.#gpu.profile.limits.maxStorageBufferBindingSize);
    if (grown) this.#prepared.forget("stages");
    return grown;
  }

  /** Prepares staging buffers for a number of simultaneous reads of a size. @throws SluiceError `device_limit` */
  reserveReads(count: number, byteLength: number): void {
    this.#dispatcher.readbacks.reserve(count, byteLength);
  }

  /** What a step of these rows amounts to, dispatch by dispatch, in the plan that would run now. */
  worksOf(step: StepRows, head: Head, tail: Tail): readonly DispatchWork[] {
    return [...this.#prepared.works(this.#active, step, { head, tail })];
  }

  /** Milliseconds a step of these rows is expected to take, by cost and earlier measurements. */
  estimateStep(step: StepRows, head: Head, tail: Tail): number {
    let total = 0;
    for (const { cost } of this.#prepared.works(this.#active, step, { head, tail }))
      total += this.#pacer.estimate(cost);
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
   * bytes of this one are there. `bytes` throws what `run` would; a failed read that no caller awaits is dropped. Where
   * its kernels are ready, the first submit is made before this returns.
   */
  async submit({ steps, head, tail, reads, signal, observer, host }: Run): Promise<Reads> {
    this.#gpu.checkAlive();
    const sizes = steps.map((step) => sizeOf(step, head, tail));
    if (!this.#prepared.isReady(this.plansInUse, sizes)) await this.prepare(sizes, signal);
    host?.enter("encode");
    this.#dispatcher.steps.write(steps);
    return this.#dispatcher.run<StepLaunch>(this.#prepared.launches(this.#active, steps, { head, tail }), this.#pacer, {
      reads: reads.map(({ role, offset, byteLength }) => ({ buffer: this.buffer(role), offset, byteLength })),
      signal,
      observer,
      host,
    });
  }

  /** Frees every buffer of the session. The weights are not its own. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#gpu.tally.giveBack("sessions");
    this.#prepared.dispose();
    this.#dispatcher.dispose();
  }

  buffer(role: BufferRole): GPUBuffer {
    return this.#buffers.of(
      role.role === "logits" ? { role: "activation", index: logitsOf(this.#active).index } : role,
    );
  }
}
