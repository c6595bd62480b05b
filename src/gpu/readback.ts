/** Reading GPU buffers back through staging buffers that are reused. */
import type { Gpu } from "./open.ts";

/** A copy that has been encoded; ask for its bytes after the submit. */
export interface Readback {
  bytes(): Promise<ArrayBuffer>;
}

export class ReadbackPool {
  readonly #gpu: Gpu;
  /** Staging buffers that are not in use. Sizes are powers of two, so that a few serve all reads. */
  readonly #idle: GPUBuffer[] = [];
  readonly #all: GPUBuffer[] = [];

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** Encodes the copy of bytes [offset, offset + byteLength) of `source`; all multiples of 4. */
  copy(encoder: GPUCommandEncoder, source: GPUBuffer, offset: number, byteLength: number): Readback {
    const staging = this.#take(byteLength);
    encoder.copyBufferToBuffer(source, offset, staging, 0, byteLength);
    return {
      bytes: async () => {
        try {
          await staging.mapAsync(GPUMapMode.READ, 0, byteLength);
        } catch (cause) {
          throw await this.#gpu.failure(cause);
        }
        const bytes = staging.getMappedRange(0, byteLength).slice(0);
        staging.unmap();
        this.#idle.push(staging);
        return bytes;
      },
    };
  }

  dispose(): void {
    for (const buffer of this.#all) this.#gpu.release(buffer);
    this.#all.length = 0;
    this.#idle.length = 0;
  }

  #take(byteLength: number): GPUBuffer {
    const index = this.#idle.findIndex(
      (buffer) => buffer.size >= byteLength && buffer.size <= 4 * Math.max(byteLength, 256),
    );
    const found = index < 0 ? undefined : this.#idle.splice(index, 1)[0];
    if (found) return found;
    const size = Math.min(2 ** Math.ceil(Math.log2(Math.max(byteLength, 256))), this.#gpu.profile.limits.maxBufferSize);
    const buffer = this.#gpu.createBuffer("readback", size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    this.#all.push(buffer);
    return buffer;
  }
}
