/** The steps of a run on the device: group 0 of every kernel, with a step's place as the dynamic offset. */
import type { Gpu } from "../gpu/gpu.ts";
import { packStep, type StepRows, stepByteLength } from "../kernels/step.ts";
import { roundUp } from "../numbers/round-up.ts";
import type { OwnedBuffers } from "./owned-buffers.ts";

export interface StepUniformsOptions {
  /** Layout of group 0. */
  readonly layout: GPUBindGroupLayout;
  readonly label: string;
  /** MAX_ROWS that the kernels were linked with. */
  readonly maxRows: number;
  /** Steps that are there at once. */
  readonly count: number;
}

export class StepUniforms {
  readonly group: GPUBindGroup;
  readonly #gpu: Gpu;
  readonly #maxRows: number;
  readonly #stride: number;
  /** What is written comes from here, so that nothing is allocated per token. */
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #buffer: GPUBuffer;

  constructor(gpu: Gpu, owned: OwnedBuffers, { layout, label, maxRows, count }: StepUniformsOptions) {
    const { device } = gpu;
    const size = stepByteLength(maxRows);
    this.#gpu = gpu;
    this.#maxRows = maxRows;
    this.#stride = roundUp(size, device.limits.minUniformBufferOffsetAlignment);
    this.#words = new Uint32Array((this.#stride * count) / 4);
    this.#buffer = owned.make(`${label} steps`, this.#words.byteLength, GPUBufferUsage.UNIFORM);
    this.group = device.createBindGroup({
      layout,
      entries: [{ binding: 0, resource: { buffer: this.#buffer, size } }],
    });
  }

  /** Writes the first steps, in order; at most `count`. */
  write(steps: readonly StepRows[]): void {
    steps.forEach((step, i) => {
      packStep(step, this.#maxRows, this.#words.subarray((i * this.#stride) / 4));
    });
    this.#gpu.write(this.#buffer, 0, this.#words, 0, (steps.length * this.#stride) / 4);
  }

  /** The dynamic offset of a step. */
  offset(index: number): number {
    return index * this.#stride;
  }
}
