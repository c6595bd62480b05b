/** The `args` of many dispatches in few uniform buffers. */
import type { Gpu } from "../gpu/gpu.ts";
import { roundUp } from "../numbers/round-up.ts";
import type { OwnedBuffers } from "./owned-buffers.ts";

/** Room for 256 dispatches, where offsets are multiples of 256. */
const PAGE_BYTES = 1 << 16;

interface Page {
  readonly buffer: GPUBuffer;
  end: number;
}

/** Equal args are there once: layers share most of theirs. */
export class ArgsArena {
  readonly #gpu: Gpu;
  readonly #owned: OwnedBuffers;
  readonly #label: string;
  readonly #pages: Page[] = [];
  readonly #placed = new Map<string, GPUBufferBinding>();

  constructor(gpu: Gpu, owned: OwnedBuffers, label: string) {
    this.#gpu = gpu;
    this.#owned = owned;
    this.#label = label;
  }

  /** Where these words are in a uniform buffer: written now, unless equal ones are there. */
  place(words: Uint32Array<ArrayBuffer>): GPUBufferBinding {
    const key = words.join();
    let place = this.#placed.get(key);
    if (!place) {
      const page = this.#pageFor(words.byteLength);
      place = { buffer: page.buffer, offset: page.end, size: words.byteLength };
      this.#gpu.write(page.buffer, page.end, words);
      page.end = roundUp(page.end + words.byteLength, this.#gpu.device.limits.minUniformBufferOffsetAlignment);
      this.#placed.set(key, place);
    }
    return place;
  }

  /** Forgets everything: bind groups made so far must not be used again. */
  clear(): void {
    this.#placed.clear();
    for (const page of this.#pages) page.end = 0;
  }

  #pageFor(byteLength: number): Page {
    const found = this.#pages.find(({ buffer, end }) => end + byteLength <= buffer.size);
    if (found) return found;
    const size = Math.max(PAGE_BYTES, byteLength);
    const page = { buffer: this.#owned.make(`${this.#label} args`, size, GPUBufferUsage.UNIFORM), end: 0 };
    this.#pages.push(page);
    return page;
  }
}
