/** A compute pass that does not set the same state twice: every call of a pass crosses into the driver. */
import type { StepUniforms } from "./step-uniforms.ts";

/** One kernel on its buffers. */
export interface Launch {
  readonly pipeline: GPUComputePipeline;
  /** Group 1. */
  readonly group: GPUBindGroup;
  /** Index of the step that it works on. */
  readonly step: number;
  readonly workgroups: readonly [number, number, number];
}

export class BoundPass {
  readonly #pass: GPUComputePassEncoder;
  readonly #steps: StepUniforms;
  #step = -1;
  #pipeline: GPUComputePipeline | undefined;
  #group: GPUBindGroup | undefined;

  constructor(pass: GPUComputePassEncoder, steps: StepUniforms) {
    this.#pass = pass;
    this.#steps = steps;
  }

  launch({ pipeline, group, step, workgroups }: Launch): void {
    if (pipeline !== this.#pipeline) this.#pass.setPipeline(pipeline);
    if (step !== this.#step) this.#pass.setBindGroup(0, this.#steps.group, [this.#steps.offset(step)]);
    if (group !== this.#group) this.#pass.setBindGroup(1, group);
    [this.#pipeline, this.#step, this.#group] = [pipeline, step, group];
    this.#pass.dispatchWorkgroups(...workgroups);
  }

  end(): void {
    this.#pass.end();
  }
}
