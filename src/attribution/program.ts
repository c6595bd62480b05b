/**
 * A fixed list of dispatches over buffers of its own: recorded once, compiled, then run as often as wanted with other
 * contents of its inputs. Unlike a session's plan it knows every row beforehand, so sizes and uniforms are settled.
 */
import { SluiceError, throwIfAborted } from "../errors.ts";
import { Dispatcher } from "../execution/dispatcher.ts";
import type { PacedLaunch } from "../execution/paced-run.ts";
import type { Pace } from "../execution/pacer.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import type { ReadRange } from "../execution/readback.ts";
import type { DeviceWords, Gpu } from "../gpu/gpu.ts";
import { type ArgValues, inOrder, type Kernel } from "../kernels/kernel.ts";
import type { StepRows } from "../kernels/step.ts";

/** A buffer, or a part of it; offsets are multiples of 256 bytes. */
export interface Bound {
  readonly buffer: GPUBuffer;
  readonly offset?: number;
}

export interface Recorded {
  /** With its merge, if it has one. */
  readonly kernel: Kernel;
  /** Index of the step that group 0 binds. */
  readonly step: number;
  /** What `kernel.workgroups` gets. */
  readonly rows: number;
  /** Keys in sight of the rows, for the estimate alone. */
  readonly keys?: number;
  readonly args?: ArgValues;
  readonly bind: Readonly<Record<string, Bound>>;
}

/** A part of the program: runs may begin at a later layer, and leave parts out. */
export interface Section {
  /** -1: before the first layer; the number of layers: after the last. */
  readonly layer: number;
  readonly part: "loss" | "gradient" | "sums";
}

interface Ready extends PacedLaunch {
  readonly section: Section;
}

export interface RunOptions {
  /** Parts that run, each from this layer of the forward pass on. */
  readonly parts: readonly Section["part"][];
  readonly from: number;
  readonly clear: readonly GPUBuffer[];
  readonly reads: readonly ReadRange[];
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What records: a program before it is sealed. */
export type Recording = Pick<Program, "buffer" | "write" | "step" | "begin" | "record">;

export class Program {
  readonly #gpu: Gpu;
  readonly #pipelines: PipelineCache;
  readonly #pace: Pace;
  readonly #dispatcher: Dispatcher;
  readonly #steps: StepRows[] = [];
  #section: Section = { layer: -1, part: "loss" };
  #recorded: { readonly section: Section; readonly dispatch: Recorded }[] = [];
  #ready: readonly Ready[] = [];

  constructor(gpu: Gpu, pipelines: PipelineCache, pace: Pace, maxRows: number) {
    this.#gpu = gpu;
    this.#pipelines = pipelines;
    this.#pace = pace;
    this.#dispatcher = new Dispatcher({ gpu, pipelines, label: "attribution", maxRows });
  }

  /** How much its buffers hold. */
  get bytes(): number {
    return this.#dispatcher.owned.bytes;
  }

  /** A zero-filled buffer that ends with the program. @throws SluiceError `device_limit` */
  buffer(label: string, byteLength: number): GPUBuffer {
    return this.#dispatcher.owned.make(label, byteLength, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
  }

  write(buffer: GPUBuffer, values: DeviceWords): void {
    this.#gpu.write(buffer, 0, values);
  }

  /** Adds a step that dispatches can refer to; returns its index. */
  step(rows: StepRows): number {
    this.#steps.push(rows);
    return this.#steps.length - 1;
  }

  /** What is recorded from here on belongs to this section. */
  begin(section: Section): void {
    this.#section = section;
  }

  record(dispatch: Recorded): void {
    this.#recorded.push({ section: this.#section, dispatch });
  }

  /**
   * Ends the recording: compiles, writes the uniforms, makes the bind groups.
   * @throws SluiceError `gpu`, `device_limit`, `device_lost`, `aborted`
   */
  async seal(onCompile: (done: number, total: number) => void, signal: AbortSignal | undefined): Promise<void> {
    this.#dispatcher.makeSteps(this.#steps.length).write(this.#steps);
    const kernels = this.#recorded.flatMap(({ dispatch }) => inOrder(dispatch.kernel));
    await this.#pipelines.prepare(kernels, onCompile, signal);
    const ready: Ready[] = [];
    for (const { section, dispatch } of this.#recorded) {
      const { kernel: chosen, step, rows, keys = 0, args = {}, bind } = dispatch;
      const bound = await this.#dispatcher.bind(chosen, { label: "attribution", args, bufferOf: (name) => bind[name] });
      for (const { kernel, pipeline, group } of bound) {
        const cost = kernel.cost({ rows, keys });
        ready.push({ section, pipeline, group, step, workgroups: kernel.workgroups(rows), cost });
      }
    }
    this.#ready = ready;
    this.#recorded = [];
    await this.#gpu.checkAllocations();
  }

  /**
   * Runs the dispatches of some parts in order and reads buffers back.
   * @throws SluiceError `aborted` before the first submit or between two, `usage` if it is disposed of by then,
   *   `device_lost`, `gpu`
   */
  async run({ parts, from, clear, reads, onProgress, signal }: RunOptions): Promise<readonly ArrayBuffer[]> {
    throwIfAborted(signal);
    this.#gpu.checkAlive();
    this.#dispatcher.checkOpen();
    const chosen = this.#ready.filter(
      ({ section }) => parts.includes(section.part) && (section.part === "gradient" || section.layer >= from),
    );
    const onSubmit = (launched: number) => onProgress?.(launched, chosen.length);
    try {
      const run = await this.#dispatcher.run(chosen, this.#pace, { reads, clear, signal, onSubmit });
      return await run.bytes();
    } catch (error) {
      // What was to be read is gone.
      if (error instanceof SluiceError && error.code === "gpu") this.#dispatcher.checkOpen();
      throw error;
    }
  }

  /** Frees every buffer. */
  dispose(): void {
    this.#dispatcher.dispose();
    this.#ready = [];
  }
}
