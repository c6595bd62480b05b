/** Compiles kernels: each source once, several at a time, with errors that point into the source. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import type { Gpu } from "../gpu/gpu.ts";
import { unhurried } from "../gpu/waiting.ts";
import { type BindingAccess, type KernelInterface, readInterface } from "../kernels/interface.ts";
import type { Kernel } from "../kernels/kernel.ts";
import { linkShader } from "../kernels/link.ts";

/**
 * How many compile at once. Devices compile on a few threads; more would only wait there, where an
 * abort does not reach them.
 */
const PARALLEL_COMPILES = 8;

const bufferTypes: Readonly<Record<BindingAccess, GPUBufferBindingType>> = {
  args: "uniform",
  read: "read-only-storage",
  read_write: "storage",
};

/** A kernel that can run, with what its shader binds. */
export interface CompiledKernel extends KernelInterface {
  readonly pipeline: GPUComputePipeline;
  /** Of group 1. Kernels with equal bindings share one object. */
  readonly layout: GPUBindGroupLayout;
}

/** One compilation that succeeded. */
export interface CompiledPipeline {
  /** The kernel's. */
  readonly name: string;
  /** `performance.now()` at the request. */
  readonly began: number;
  /** Milliseconds of linking its source, waiting for others that link meanwhile included. */
  readonly linkMs: number;
  /** Milliseconds from linked source to pipeline, waiting for others that compile meanwhile included. */
  readonly compileMs: number;
}

export class PipelineCache {
  /** Layout of group 0: the step uniform, with a dynamic offset. */
  readonly stepLayout: GPUBindGroupLayout;
  readonly #gpu: Gpu;
  /** By linked source. */
  readonly #kernels = new Map<string, Promise<CompiledKernel>>();
  readonly #layouts = new Map<string, { readonly own: GPUBindGroupLayout; readonly pipeline: GPUPipelineLayout }>();
  /** Keys of the sources that need no compiling any more. */
  readonly #ready = new Set<string>();
  readonly #compiled: CompiledPipeline[] = [];
  /** Pipelines that are kept. */
  #kept = 0;
  #isDisposed = false;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.stepLayout = gpu.device.createBindGroupLayout({
      label: "step",
      entries: [
        { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } },
      ],
    });
  }

  /** Lets go of all pipelines: those that run something are freed after it. */
  dispose(): void {
    this.#isDisposed = true;
    this.#gpu.tally.giveBack("pipelines", this.#kept);
    this.#kept = 0;
    this.#kernels.clear();
    this.#ready.clear();
    this.#layouts.clear();
  }

  /** How many pipelines were compiled so far. */
  get created(): number {
    return this.#compiled.length;
  }

  /** Pipelines compiled so far, in the order in which they were ready. */
  get compiled(): readonly CompiledPipeline[] {
    return this.#compiled;
  }

  /**
   * A kernel's pipeline and interface; it is compiled unless its source has been already, or is being.
   * @throws SluiceError `gpu` with kernel, line, column and source line if it does not compile; `device_lost`
   */
  async get(kernel: Kernel): Promise<CompiledKernel> {
    this.#gpu.checkAlive();
    const asked = performance.now();
    const code = await linkShader(kernel.shader);
    let compiled = this.#kernels.get(code);
    if (!compiled) {
      compiled = this.#compile(kernel, code, asked);
      this.#kernels.set(code, compiled);
      // A failure is not remembered: the device may have been short of memory for a moment.
      compiled.catch(() => this.#kernels.delete(code));
    }
    const result = await compiled;
    this.#ready.add(sourceKey(kernel));
    return result;
  }

  /**
   * Compiles kernels in parallel. After an abort, those under way are finished and kept.
   * @param onProgress called with how many are done of those that were not compiled before
   * @throws SluiceError as {@link get}; `aborted`
   */
  async prepare(
    kernels: readonly Kernel[],
    onProgress: (done: number, total: number) => void = () => undefined,
    signal?: AbortSignal,
  ): Promise<void> {
    const distinct = new Map(kernels.map((kernel) => [sourceKey(kernel), kernel]));
    const waiting = [...distinct].filter(([key]) => !this.#ready.has(key)).map(([, kernel]) => kernel);
    const total = waiting.length;
    let done = 0;
    const worker = async (): Promise<void> => {
      for (let kernel = waiting.shift(); kernel; kernel = waiting.shift()) {
        throwIfAborted(signal);
        await this.get(kernel);
        onProgress(++done, total);
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(PARALLEL_COMPILES, total) }, worker));
    } finally {
      // When one worker has failed, the others start nothing more.
      waiting.length = 0;
    }
    throwIfAborted(signal);
  }

  async #compile(kernel: Kernel, code: string, began: number): Promise<CompiledKernel> {
    const { device } = this.#gpu;
    const { bindings, args } = readInterface(code, kernel.name);
    const layouts = this.#layoutsOf(bindings);
    const started = performance.now();
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ label: kernel.name, code });
    const scope = unhurried(() => device.popErrorScope());
    let pipeline: GPUComputePipeline;
    try {
      const made = unhurried(() => {
        return device.createComputePipelineAsync({ label: kernel.name, layout: layouts.pipeline, compute: { module } });
      });
      const [first, invalid] = await Promise.all([made, scope]);
      if (invalid) throw new Error(invalid.message);
      pipeline = first;
    } catch (cause) {
      // A lost device refuses everything; its errors then say nothing about the shader.
      const failure = await this.#gpu.failure(`Kernel ${kernel.name} does not compile`, cause);
      throw failure.code === "gpu" ? await compileError(kernel.name, code, module, cause) : failure;
    }
    // A device that was lost meanwhile may hand out pipelines that do nothing.
    this.#gpu.checkAlive();
    if (!this.#isDisposed) {
      this.#gpu.tally.take("pipelines");
      this.#kept++;
    }
    const { name } = kernel;
    this.#compiled.push({ name, began, linkMs: started - began, compileMs: performance.now() - started });
    return { pipeline, layout: layouts.own, bindings, args };
  }

  #layoutsOf(bindings: KernelInterface["bindings"]): {
    readonly own: GPUBindGroupLayout;
    readonly pipeline: GPUPipelineLayout;
  } {
    // The names of bindings do not matter to a layout.
    const key = bindings.map(({ binding, access }) => `${binding}:${access}`).join(" ");
    let layouts = this.#layouts.get(key);
    if (!layouts) {
      const { device } = this.#gpu;
      const entries = bindings.map(({ binding, access }) => ({
        binding,
        visibility: GPUShaderStage.COMPUTE,
        buffer: { type: bufferTypes[access] },
      }));
      const own = device.createBindGroupLayout({ label: key, entries });
      const pipeline = device.createPipelineLayout({ label: key, bindGroupLayouts: [this.stepLayout, own] });
      layouts = { own, pipeline };
      this.#layouts.set(key, layouts);
    }
    return layouts;
  }
}

function sourceKey({ shader }: Kernel): string {
  return JSON.stringify(shader);
}

async function compileError(name: string, code: string, module: GPUShaderModule, cause: unknown): Promise<SluiceError> {
  const { messages } = await module.getCompilationInfo();
  const lines = code.split("\n");
  const errors = messages
    .filter(({ type }) => type === "error")
    .map(({ message, lineNum, linePos }) => {
      const line = lines[lineNum - 1];
      if (line === undefined) return message;
      const [what = "", ...more] = message.trim().split("\n");
      const caret = " ".repeat(Math.max(linePos - 1, 0));
      return [`${lineNum}:${linePos}: ${what}`, `  ${line}`, `  ${caret}^`, ...more].join("\n");
    });
  // The shader itself may be sound and the pipeline not: a layout that lacks a binding, or a limit.
  const text = errors.length > 0 ? errors.join("\n") : String(cause instanceof Error ? cause.message : cause);
  return new SluiceError("gpu", `Kernel ${name} does not compile\n${text.trim()}`, {
    hint: "This is a defect of Sluice, or of the GPU's driver; please report it with this message.",
    cause,
  });
}
