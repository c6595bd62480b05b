/** Runs dispatches in submits of bounded length, and reads buffers back after them. */
import { throwIfAborted } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import type { Cost } from "../kernels/kernel.ts";
import type { Backlog } from "./backlog.ts";
import { BoundPass, type Launch } from "./bound-pass.ts";
import type { HostObserver } from "./host-observer.ts";
import type { Pace } from "./pacer.ts";
import type { ReadbackPool, ReadRange } from "./readback.ts";
import type { StepUniforms } from "./step-uniforms.ts";

/** A launch whose length can be estimated. */
export interface PacedLaunch extends Launch {
  readonly cost: Cost;
}

/** Sees each dispatch before it is encoded, and may time its pass. */
export interface PassObserver<L> {
  /** Each dispatch is submitted and awaited before the next is encoded, for observers without a clock on the GPU. */
  readonly alone: boolean;
  begin(launch: L): GPUComputePassDescriptor;
  /** Called once all passes of the run are encoded. */
  finish(encoder: GPUCommandEncoder): void;
}

export interface PacedOptions<L extends PacedLaunch> {
  readonly reads: readonly ReadRange[];
  /** Set to zeros before the first dispatch. */
  readonly clear?: readonly GPUBuffer[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Watches every dispatch, each in its own pass; for profiling. */
  readonly observer?: PassObserver<L> | undefined;
  /** Observes the host's work meanwhile; for profiling. */
  readonly host?: HostObserver | undefined;
  /** Called after each submit but the last with the number of dispatches so far. */
  readonly onSubmit?: ((launched: number) => void) | undefined;
}

/** What a run goes through. */
export interface PacedParts {
  readonly gpu: Gpu;
  readonly steps: StepUniforms;
  readonly pace: Pace;
  readonly backlog: Backlog;
  readonly readbacks: ReadbackPool;
}

export interface Reads {
  /** The bytes of each read. @throws SluiceError `device_lost`, `gpu` */
  bytes(): Promise<readonly ArrayBuffer[]>;
}

/**
 * Runs dispatches in order. Resolves once everything is submitted and all but the last submit is done: the next run may begin
 * before the bytes of this one are there. `bytes` throws what the device reports for this run; a failed read that
 * no caller awaits is dropped. The first submit is made before this returns.
 * @throws SluiceError `aborted` between submits, `device_lost`, `gpu`
 */
export async function runPaced<L extends PacedLaunch>(
  launches: Iterable<L>,
  parts: PacedParts,
  options: PacedOptions<L>,
): Promise<Reads> {
  const { gpu, readbacks } = parts;
  const { reads, clear = [], observer, host } = options;
  const submits = new Submits(parts, options);
  for (const buffer of clear) submits.commands.clearBuffer(buffer);
  for (const launch of launches) {
    // Not awaited if there is room: decode steps are submitted before this returns.
    if (submits.isFullFor(launch)) await submits.turn();
    submits.add(launch);
  }
  submits.endPass();
  observer?.finish(submits.commands);
  const copies = readbacks.copyAll(submits.commands, reads);
  const free = submits.handOver();
  host?.enter("wait");
  const collected = copies.bytes().then((bytes) => {
    host?.leave();
    return bytes;
  });
  collected.catch(() => undefined);
  await free;
  return {
    bytes: async () => {
      const bytes = await collected;
      await gpu.checkAllocations();
      return bytes;
    },
  };
}

/** The submit that is being filled. */
class Submits<L extends PacedLaunch> {
  /** Of the submit. */
  commands: GPUCommandEncoder;
  readonly #parts: PacedParts;
  readonly #options: PacedOptions<L>;
  #pass: BoundPass | undefined;
  #estimatedMs = 0;
  #launched = 0;

  constructor(parts: PacedParts, options: PacedOptions<L>) {
    this.#parts = parts;
    this.#options = options;
    this.commands = parts.gpu.device.createCommandEncoder();
  }

  /** Whether a launch belongs into the next submit. */
  isFullFor({ cost }: L): boolean {
    const { pace } = this.#parts;
    if (this.#estimatedMs === 0) return false;
    return this.#options.observer?.alone === true || this.#estimatedMs + pace.estimate(cost) > pace.budgetMs;
  }

  add(launch: L): void {
    const { observer } = this.#options;
    this.#estimatedMs += this.#parts.pace.estimate(launch.cost);
    if (observer) {
      this.endPass();
      this.#pass = this.#begin(observer.begin(launch));
    }
    this.#pass ??= this.#begin();
    this.#pass.launch(launch);
    this.#launched++;
  }

  endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }

  /** Submits, and learns how long it took. @returns when the submit before is done, whichever run it was of */
  handOver(): Promise<void> {
    const { backlog, pace } = this.#parts;
    this.endPass();
    const commands = this.commands.finish();
    this.#options.host?.enter("submit");
    const estimated = this.#estimatedMs;
    return backlog.submit(commands, (ms) => pace.observe(estimated, ms));
  }

  /** Submits, and begins another submit when the device has room for it. */
  async turn(): Promise<void> {
    const { gpu } = this.#parts;
    const { host, observer, signal, onSubmit } = this.#options;
    const free = this.handOver();
    host?.enter("wait");
    await free;
    if (observer?.alone) await gpu.idle();
    onSubmit?.(this.#launched);
    throwIfAborted(signal);
    host?.enter("encode");
    this.commands = gpu.device.createCommandEncoder();
    this.#estimatedMs = 0;
  }

  #begin(descriptor?: GPUComputePassDescriptor): BoundPass {
    return new BoundPass(this.commands.beginComputePass(descriptor), this.#parts.steps);
  }
}
