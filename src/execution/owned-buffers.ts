/** Buffers that end together. */
import type { Gpu } from "../gpu/gpu.ts";
import { roundUp } from "../numbers/round-up.ts";

/** Sizes are multiples of the largest element of a binding. */
const UNIT = 16;

export class OwnedBuffers {
  readonly #gpu: Gpu;
  readonly #buffers = new Set<GPUBuffer>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** How much all of them hold. */
  get bytes(): number {
    return [...this.#buffers].reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * A zero-filled buffer that can be written, of at least 16 bytes.
   * @throws SluiceError as `Gpu.createBuffer`
   */
  make(label: string, byteLength: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const size = Math.max(roundUp(byteLength, UNIT), UNIT);
    const buffer = this.#gpu.createBuffer(label, size, usage | GPUBufferUsage.COPY_DST);
    this.#buffers.add(buffer);
    return buffer;
  }

  /** Frees one of them. */
  release(buffer: GPUBuffer): void {
    this.#buffers.delete(buffer);
    this.#gpu.release(buffer);
  }

  /** Frees all of them. */
  dispose(): void {
    this.#gpu.flushWrites();
    for (const buffer of this.#buffers) this.#gpu.release(buffer);
    this.#buffers.clear();
  }
}
