/** Reads GPU buffers back through staging buffers that are kept and used again. */
import type { Gpu } from "../gpu/gpu.ts";

/** Staging buffers come in powers of two from this size on, so that few sizes serve all reads. */
const MIN_STAGING_BYTES = 256;

/** Larger ones are for rare reads, such as the logits of a whole text, and freed at once. */
const MAX_KEPT_BYTES = 16 << 20;

/** A range of a buffer, in bytes; both numbers are multiples of 4. */
export interface ReadRange {
  readonly buffer: GPUBuffer;
  /** Default: 0. */
  readonly offset?: number | undefined;
  readonly byteLength: number;
}

/** A copy that was encoded and can be read once it has been submitted. */
export interface Readback {
  /**
   * Waits for the copy and resolves to its bytes. To be called once, after the submit.
   * @throws SluiceError `device_lost`, `gpu`; never zeros instead of unread data
   */
  bytes(): Promise<ArrayBuffer>;
}

export class ReadbackPool {
  readonly #gpu: Gpu;
  readonly #free = new Map<number, GPUBuffer[]>();
  readonly #owned = new Set<GPUBuffer>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** Staging buffers made so far and not freed; constant once every kind of read has happened. */
  get stagingBuffers(): number {
    return this.#owned.size;
  }

  /**
   * Encodes a copy out of a buffer.
   * @param offset bytes, a multiple of 4
   * @param byteLength a multiple of 4
   * @throws SluiceError `device_limit`, `device_lost`, `gpu`
   */
  copy(encoder: GPUCommandEncoder, source: GPUBuffer, offset: number, byteLength: number): Readback {
    const staging = this.#take(byteLength);
    encoder.copyBufferToBuffer(source, offset, staging, 0, byteLength);
    return { bytes: () => this.#read(staging, byteLength, source.label) };
  }

  /**
   * Encodes copies that are read together, as soon as the last of them is there: one buffer to map instead of many, which
   * takes time per buffer. `bytes` is as {@link Readback.bytes}, one result per range.
   * @throws SluiceError `device_limit`, `device_lost`, `gpu`
   */
  copyAll(encoder: GPUCommandEncoder, ranges: readonly ReadRange[]): { bytes(): Promise<readonly ArrayBuffer[]> } {
    const total = ranges.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const [first] = ranges;
    if (!first || total > MAX_KEPT_BYTES) {
      const copies = ranges.map(({ buffer, offset = 0, byteLength }) => this.copy(encoder, buffer, offset, byteLength));
      return { bytes: () => Promise.all(copies.map((copy) => copy.bytes())) };
    }
    const staging = this.#take(total);
    let end = 0;
    const places = ranges.map(({ buffer, offset = 0, byteLength }) => {
      encoder.copyBufferToBuffer(buffer, offset, staging, end, byteLength);
      const begin = end;
      end += byteLength;
      return [begin, end] as const;
    });
    return {
      bytes: async () => {
        const bytes = await this.#read(staging, total, first.buffer.label);
        return places.map((place) => bytes.slice(...place));
      },
    };
  }

  /** Frees the staging buffers; reads under way fail. */
  dispose(): void {
    for (const buffer of this.#owned) this.#gpu.release(buffer);
    this.#owned.clear();
    this.#free.clear();
  }

  /** Prepares a number of staging buffers of a size, so that none is made when that many reads first run at once. */
  reserve(count: number, byteLength: number): void {
    const made = Array.from({ length: count }, () => this.#take(byteLength));
    for (const staging of made) this.#giveBack(staging);
  }

  async #read(staging: GPUBuffer, byteLength: number, label: string): Promise<ArrayBuffer> {
    let bytes: ArrayBuffer;
    try {
      await this.#gpu.waiter.until(() => staging.mapAsync(GPUMapMode.READ, 0, byteLength));
      bytes = staging.getMappedRange(0, byteLength).slice(0);
      staging.unmap();
    } catch (cause) {
      this.#drop(staging);
      throw await this.#gpu.failure(`Reading back ${label || "a buffer"} failed`, cause);
    }
    this.#giveBack(staging);
    return bytes;
  }

  #take(byteLength: number): GPUBuffer {
    const size = stagingSize(byteLength);
    // A larger one serves as well; what is not kept has its exact size.
    for (let larger = size; larger <= MAX_KEPT_BYTES; larger *= 2) {
      const kept = this.#free.get(larger)?.pop();
      if (kept) return kept;
    }
    const buffer = this.#gpu.createBuffer(`readback ${size}`, size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    this.#owned.add(buffer);
    return buffer;
  }

  #giveBack(buffer: GPUBuffer): void {
    if (!this.#owned.has(buffer)) return;
    if (buffer.size > MAX_KEPT_BYTES) {
      this.#drop(buffer);
      return;
    }
    const free = this.#free.get(buffer.size);
    if (free) free.push(buffer);
    else this.#free.set(buffer.size, [buffer]);
  }

  #drop(buffer: GPUBuffer): void {
    this.#owned.delete(buffer);
    this.#gpu.release(buffer);
  }
}

/** Large reads get exactly what they need: they are not kept, and twice that might exceed the limit. */
function stagingSize(byteLength: number): number {
  if (byteLength > MAX_KEPT_BYTES) return byteLength;
  return Math.max(MIN_STAGING_BYTES, 2 ** Math.ceil(Math.log2(byteLength)));
}
