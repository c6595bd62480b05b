/** Compiled kernels, each once: keyed by linked WGSL and bindings, with requests in flight shared. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import type { BindingAccess, Kernel } from "../kernels/kernel.ts";
import { linkShader } from "../kernels/link.ts";
import type { Gpu } from "./open.ts";

const BUFFER_TYPES: Readonly<Record<BindingAccess, GPUBufferBindingType>> = {
  args: "uniform",
  read: "read-only-storage",
  read_write: "storage",
};

export class PipelineCache {
  /** Group 0 of every kernel: the step uniform at a dynamic offset. */
  readonly stepLayout: GPUBindGroupLayout;
  readonly #gpu: Gpu;
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.stepLayout = gpu.device.createBindGroupLayout({
      label: "step",
      entries: [
        { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform", hasDynamicOffset: true } },
      ],
    });
  }

  /** Pipelines compiled so far, or being compiled. */
  get size(): number {
    return this.#pipelines.size;
  }

  /** Layout of group 1 of a kernel; kernels with equal bindings share it. */
  layoutOf(kernel: Kernel): GPUBindGroupLayout {
    const key = bindingsKey(kernel);
    let layout = this.#layouts.get(key);
    if (!layout) {
      layout = this.#gpu.device.createBindGroupLayout({
        label: key,
        entries: kernel.bindings.map(({ binding, access }) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: BUFFER_TYPES[access] },
        })),
      });
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  /** @throws SluiceError `gpu` with the compiler's message and the line it points at */
  async get(kernel: Kernel): Promise<GPUComputePipeline> {
    const code = await linkShader(kernel.shader);
    const key = `${bindingsKey(kernel)}\n${code}`;
    let pipeline = this.#pipelines.get(key);
    if (!pipeline) {
      pipeline = this.#compile(kernel, code);
      this.#pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  /** Compiles kernels side by side. `onProgress` hears of those that were not compiled yet. */
  async prepare(
    kernels: readonly Kernel[],
    onProgress: (done: number, total: number) => void,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const distinct = [...new Map(kernels.map((kernel) => [kernel.name, kernel])).values()];
    const before = this.size;
    let done = 0;
    const waiting = distinct.map(async (kernel) => {
      throwIfAborted(signal);
      await this.get(kernel);
      done++;
      if (this.size > before) onProgress(done, distinct.length);
    });
    await Promise.all(waiting);
    throwIfAborted(signal);
  }

  async #compile(kernel: Kernel, code: string): Promise<GPUComputePipeline> {
    const { device } = this.#gpu;
    const module = device.createShaderModule({ code, label: kernel.name });
    try {
      return await device.createComputePipelineAsync({
        label: kernel.name,
        layout: device.createPipelineLayout({ bindGroupLayouts: [this.stepLayout, this.layoutOf(kernel)] }),
        compute: { module },
      });
    } catch (cause) {
      this.#gpu.checkAlive();
      const { messages } = await module.getCompilationInfo();
      const lines = code.split("\n");
      const details = messages.map(
        ({ type, lineNum, linePos, message }) =>
          `${type} ${lineNum}:${linePos} ${message}\n    ${lines[lineNum - 1] ?? ""}`,
      );
      throw new SluiceError(
        "gpu",
        `Kernel ${kernel.name} does not compile: ${[(cause as Error).message, ...details].join("\n  ")}`,
        { cause },
      );
    }
  }
}

function bindingsKey(kernel: Kernel): string {
  return kernel.bindings.map(({ binding, access }) => `${binding}:${access}`).join(" ");
}
