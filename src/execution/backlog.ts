/** Submits that follow one another without the device waiting for the host between two. */
import type { Gpu } from "../gpu/gpu.ts";

/**
 * Hands the device its next submit while it still works on the one before, and no more than that: a page stays responsive and an
 * abort acts within two submits. On software devices, where single steps take several, the host's turns between them were up
 * to 8 % of a prefill (bench/speed.md).
 */
export class Backlog {
  readonly #gpu: Pick<Gpu, "device" | "workDone" | "checkAlive">;
  readonly #checkOpen: () => void;
  /** When the submit before was done, by `performance.now()`. */
  #before: Promise<number> = Promise.resolve(0);

  /** @param checkOpen throws if the buffers of its submits are gone, which a device would only complain of */
  constructor(gpu: Pick<Gpu, "device" | "workDone" | "checkAlive">, checkOpen: () => void) {
    this.#gpu = gpu;
    this.#checkOpen = checkOpen;
  }

  /**
   * Submits; resolves once the submit before is done.
   * @param onDone called with the milliseconds that the device was busy with this one
   * @throws SluiceError at once, what `checkOpen` throws; later `device_lost`, `gpu`, of the submit before
   */
  submit(commands: GPUCommandBuffer, onDone?: (ms: number) => void): Promise<void> {
    this.#checkOpen();
    return this.#submit(commands, onDone);
  }

  async #submit(commands: GPUCommandBuffer, onDone: ((ms: number) => void) | undefined): Promise<void> {
    const before = this.#before;
    const submitted = performance.now();
    this.#gpu.device.queue.submit([commands]);
    const done = this.#gpu.workDone().then(() => performance.now());
    this.#before = done;
    Promise.all([before, done]).then(
      ([free, end]) => onDone?.(end - Math.max(submitted, free)),
      // The next submit throws it, or whoever reads results: a device that cannot be waited for gives none.
      () => undefined,
    );
    await before;
    this.#gpu.checkAlive();
  }
}
