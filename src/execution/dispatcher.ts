/**
 * What runs dispatches on a device: it connects kernels to buffers and args by the names in their shaders, holds the uniforms
 * of steps, and encodes launches into submits. A session, an attribution, the tuner and the ceilings each have one.
 */
import { SluiceError } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { type ArgValues, inOrder, type Kernel } from "../kernels/kernel.ts";
import { type ArgsOf, checkArgs, packArgs } from "../kernels/step.ts";
import { ArgsArena } from "./args-arena.ts";
import { Backlog } from "./backlog.ts";
import { OwnedBuffers } from "./owned-buffers.ts";
import { type PacedLaunch, type PacedOptions, type Reads, runPaced } from "./paced-run.ts";
import type { Pace } from "./pacer.ts";
import type { CompiledKernel, PipelineCache } from "./pipelines.ts";
import { ReadbackPool } from "./readback.ts";
import { StepUniforms } from "./step-uniforms.ts";

export interface DispatcherOptions {
  readonly gpu: Gpu;
  readonly pipelines: PipelineCache;
  /** Of its buffers. */
  readonly label: string;
  /** MAX_ROWS that the kernels were linked with. */
  readonly maxRows: number;
}

/** A kernel on the buffers and args of one dispatch. */
export interface BoundKernel {
  readonly kernel: Kernel;
  readonly pipeline: GPUComputePipeline;
  /** Group 1. */
  readonly group: GPUBindGroup;
}

/** The buffers and args of one dispatch, by the names that shaders have for them. */
export interface Connections {
  /** For errors, and the label of bind groups. */
  readonly label: string;
  readonly args: ArgValues;
  /** What a name is connected to; undefined: nothing. */
  bufferOf(name: string): GPUBufferBinding | undefined;
}

export class Dispatcher {
  /** Freed with the dispatcher. */
  readonly owned: OwnedBuffers;
  readonly readbacks: ReadbackPool;
  readonly #options: DispatcherOptions;
  readonly #args: ArgsArena;
  readonly #backlog: Backlog;
  #steps: StepUniforms | undefined;
  /** Bind groups that were made and not let go of. */
  #groups = 0;
  #isDisposed = false;

  constructor(options: DispatcherOptions) {
    const { gpu, label } = options;
    this.#options = options;
    this.owned = new OwnedBuffers(gpu);
    this.readbacks = new ReadbackPool(gpu);
    this.#args = new ArgsArena(gpu, this.owned, label);
    this.#backlog = new Backlog(gpu, () => this.checkOpen());
  }

  /** Makes room for this many steps at once; to be called once, before anything runs. */
  makeSteps(count: number): StepUniforms {
    const { gpu, pipelines, label, maxRows } = this.#options;
    this.#steps = new StepUniforms(gpu, this.owned, { layout: pipelines.stepLayout, label, maxRows, count });
    this.#countGroups(1);
    return this.#steps;
  }

  get steps(): StepUniforms {
    if (!this.#steps) throw new Error("The dispatcher has no steps yet");
    return this.#steps;
  }

  /**
   * Compiles a kernel and its merge, if it has one, and connects them, in the order in which they run.
   * @throws SluiceError `gpu` for an args field without a value and a value without a field, `usage` if it was disposed of
   *   meanwhile, or as `PipelineCache.get`
   */
  async bind(kernel: Kernel, connections: Connections): Promise<readonly BoundKernel[]> {
    const kernels = inOrder(kernel);
    const compiled: CompiledKernel[] = [];
    for (const each of kernels) compiled.push(await this.#options.pipelines.get(each));
    // Meanwhile it may have ended.
    this.checkOpen();
    const named = compiled.map((each, i) => {
      const { name, args: own } = kernels[i] as Kernel;
      return { ...each, name, ...(own && { own }) };
    });
    checkArgs(named, connections.args);
    return named.map((each, i) => {
      const group = this.#groupOf(each, connections);
      return { kernel: kernels[i] as Kernel, pipeline: each.pipeline, group };
    });
  }

  /** Forgets all args: earlier bind groups must not be launched again. */
  clearArgs(): void {
    this.#args.clear();
    this.#countGroups(1 - this.#groups);
  }

  /** Runs launches in order, in submits of the length that `pace` allows: see {@link runPaced}. */
  run<L extends PacedLaunch>(launches: Iterable<L>, pace: Pace, options: PacedOptions<L>): Promise<Reads> {
    const { gpu } = this.#options;
    return runPaced(
      launches,
      { gpu, pace, steps: this.steps, backlog: this.#backlog, readbacks: this.readbacks },
      options,
    );
  }

  /** @throws SluiceError `usage` if it was disposed of, or the device released: its buffers are gone. */
  checkOpen(): void {
    const { gpu, label } = this.#options;
    if (this.#isDisposed) throw new SluiceError("usage", `This ${label} has been disposed of; open another`);
    if (gpu.isReleased) gpu.checkAlive();
  }

  /** Says that bind groups made here are let go of. */
  forget(groups: readonly BoundKernel[]): void {
    this.#countGroups(-groups.length);
  }

  /** Frees its buffers; reads under way fail. */
  dispose(): void {
    this.#countGroups(-this.#groups);
    this.#isDisposed = true;
    this.readbacks.dispose();
    this.owned.dispose();
  }

  #countGroups(change: number): void {
    if (this.#isDisposed) return;
    this.#groups += change;
    this.#options.gpu.tally.take("bind_groups", change);
  }

  #groupOf(
    { layout, bindings, ...block }: CompiledKernel & ArgsOf,
    { label, args: values, bufferOf }: Connections,
  ): GPUBindGroup {
    const entries = bindings.map(({ name: role, binding, access }): GPUBindGroupEntry => {
      if (access === "args") return { binding, resource: this.#args.place(packArgs(block, values)) };
      const resource = bufferOf(role);
      if (!resource) throw new Error(`${label}: nothing is connected to ${role} of ${block.name}`);
      return { binding, resource };
    });
    const group = this.#options.gpu.device.createBindGroup({ label: `${label} ${block.name}`, layout, entries });
    this.#countGroups(1);
    return group;
  }
}
