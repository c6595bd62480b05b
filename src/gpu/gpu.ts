/** A device with what the bare one lacks: counted buffers, errors that surface, and a loss that is always reported. */
import { SluiceError } from "../errors.ts";
import { alive, Tally } from "../resources.ts";
import { onLoss } from "./loss.ts";
import { type DeviceProfile, describeDeficits, limitDeficits } from "./profile.ts";
import { unhurried, Waiter } from "./waiting.ts";

/** How many of the device's uncaptured errors are kept for the report. */
const MAX_KEPT_ERRORS = 4;

/** How long a failed operation waits for a report that the device is lost, which may arrive after the failure. */
const LOSS_GRACE_MS = 300;

/** What buffers of 32-bit numbers are written from. */
export type DeviceWords = Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;

export interface GpuOptions {
  /** Whether `destroy()` ends the device too; false for a device that belongs to the caller. */
  readonly ownsDevice: boolean;
  /** Runs once at `destroy()`, after the device has ended. */
  readonly onDestroy?: () => void;
}

export class Gpu {
  readonly device: GPUDevice;
  readonly profile: DeviceProfile;
  /** Resolves if the device goes away without `destroy()`; never rejects. */
  readonly lost: Promise<SluiceError>;
  /** Waits for the queue's work: for `mapAsync` and the like. */
  readonly waiter: Waiter;
  /** What was made on it and not given back. */
  readonly tally = new Tally(alive);
  readonly #options: GpuOptions;
  readonly #forgetLoss: () => void;
  /** Failed operations that wait for a report of the loss. */
  readonly #graces = new Set<() => void>();
  readonly #sizes = new Map<GPUBuffer, number>();
  readonly #errors: string[] = [];
  #errorCount = 0;
  #allocations: Promise<void>[] = [];
  /** Allocations that the device has not answered for. */
  #unanswered = 0;
  /** Buffers that got no memory: whatever uses them is an error of the device's that says nothing new. */
  readonly #withoutMemory = new Map<GPUBuffer, SluiceError>();
  #outOfMemory: SluiceError | undefined;
  #lossError: SluiceError | undefined;
  #destroyed = false;
  #peakBytes = 0;

  constructor(device: GPUDevice, profile: DeviceProfile, options: GpuOptions) {
    this.device = device;
    this.profile = profile;
    this.#options = options;
    this.waiter = new Waiter(device.queue);
    device.addEventListener("uncapturederror", this.#onUncaptured);
    let reportLoss: (error: SluiceError) => void;
    this.lost = new Promise((resolve) => {
      reportLoss = resolve;
    });
    this.#forgetLoss = onLoss(device, (info) => {
      this.#lossError = lossError(profile, info);
      reportLoss(this.#lossError);
      for (const end of this.#graces) end();
    });
    this.tally.take("devices");
    // Of uncaptured errors, and of the loss.
    this.tally.take("listeners", 2);
  }

  /** Whether `destroy()` was called. */
  get isReleased(): boolean {
    return this.#destroyed;
  }

  /** Bytes of the buffers that are in use. */
  get bytesInUse(): number {
    return this.tally.counts.bytes;
  }

  /** The maximum number of bytes in use at once. */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /**
   * Makes a buffer, zero-filled. A storage buffer must fit into one binding, because kernels bind buffers whole.
   * Whether the device had the memory is known later, from `checkAllocations` or a later `checkAlive`.
   * @param size bytes
   * @throws SluiceError `device_limit` naming the limit; `device_lost`, `gpu` as {@link checkAlive}
   */
  createBuffer(label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    this.checkAlive();
    const storage = (usage & GPUBufferUsage.STORAGE) !== 0;
    const deficits = limitDeficits(this.profile, {
      maxBufferSize: size,
      ...(storage && { maxStorageBufferBindingSize: size }),
    });
    if (deficits.length > 0) {
      throw new SluiceError(
        "device_limit",
        `${this.profile.name} cannot hold buffer ${label}: ${describeDeficits(deficits)}`,
        {
          hint: "Choose a smaller model or context, or another device.",
          field: "adapter",
        },
      );
    }
    this.device.pushErrorScope("out-of-memory");
    const buffer = this.device.createBuffer({ label, size, usage });
    this.#sizes.set(buffer, size);
    this.#unanswered++;
    const answered = unhurried(() => this.device.popErrorScope()).then(
      (error) => {
        this.#unanswered--;
        if (error) this.#lacksMemory(buffer, this.#memoryError(label, size, error));
      },
      () => {
        // Scopes only fail to pop when the device is lost, and `device.lost` reports that.
        this.#unanswered--;
      },
    );
    this.#allocations.push(answered);
    this.tally.take("buffers");
    this.tally.take("bytes", size);
    this.#peakBytes = Math.max(this.#peakBytes, this.bytesInUse);
    return buffer;
  }

  /** Frees a buffer made here; does nothing for one that is already freed. */
  release(buffer: GPUBuffer): void {
    const size = this.#sizes.get(buffer);
    if (size === undefined) return;
    this.#sizes.delete(buffer);
    this.tally.giveBack("buffers");
    this.tally.giveBack("bytes", size);
    buffer.destroy();
    if (this.#withoutMemory.has(buffer)) this.#forgetMissing(buffer);
  }

  /**
   * Writes into a buffer made here, from element `from` of the data on. Once the buffer is freed it does nothing: work that
   * was under way then ends where it next submits or reads, and the device has nothing to complain about.
   */
  write(buffer: GPUBuffer, offset: number, data: DeviceWords, from = 0, count = data.length - from): void {
    if (this.#sizes.has(buffer)) this.device.queue.writeBuffer(buffer, offset, data, from, count);
  }

  /** Hands over the writes that wait for a submit: a device keeps them until there is one, those to freed buffers too. */
  flushWrites(): void {
    if (!this.#destroyed) this.device.queue.submit([]);
  }

  /**
   * Waits until the device has confirmed every buffer made so far.
   * @throws SluiceError `device_limit` if it had no memory for one; and as {@link checkAlive}
   */
  async checkAllocations(): Promise<void> {
    const allocations = this.#allocations;
    this.#allocations = [];
    await Promise.all(allocations);
    this.checkAlive();
  }

  /**
   * Waits until the device has done what was submitted so far.
   * @throws SluiceError as {@link checkAlive}
   */
  async idle(): Promise<void> {
    await this.workDone();
    await this.checkAllocations();
  }

  /**
   * Like {@link idle}, but leaves it to others to check for errors.
   * @throws SluiceError `device_lost`, `gpu` if even waiting for the device fails
   */
  async workDone(): Promise<void> {
    try {
      await this.waiter.until(() => this.device.queue.onSubmittedWorkDone());
    } catch (cause) {
      throw await this.failure("Waiting for the GPU failed", cause);
    }
  }

  /**
   * Waits until the first bytes of a buffer can be read.
   * @param byteLength default: all of it
   * @throws SluiceError `device_lost`, `gpu`, `usage` if the device was released meanwhile
   */
  async map(buffer: GPUBuffer, byteLength = buffer.size): Promise<void> {
    try {
      await this.waiter.until(() => buffer.mapAsync(GPUMapMode.READ, 0, byteLength));
    } catch (cause) {
      throw await this.failure(`Reading back ${buffer.label || "a buffer"} failed`, cause);
    }
  }

  /**
   * Throws the errors since the last call. An error is reported once; a loss is reported every time.
   * @throws SluiceError `device_lost`, `device_limit` if there was no memory for a buffer, `gpu` for errors that the
   *   device reported on its own, `usage` after `destroy()`
   */
  checkAlive(): void {
    if (this.#lossError) throw this.#lossError;
    if (this.#destroyed) {
      throw new SluiceError("usage", `The device ${this.profile.name} was released`, {
        hint: "Load the model again to continue after dispose().",
      });
    }
    if (this.#outOfMemory) {
      const error = this.#outOfMemory;
      this.#outOfMemory = undefined;
      // Uses of the missing buffer have caused errors that say nothing new.
      this.#takeErrors();
      throw error;
    }
    // A buffer without memory causes other errors before its own is known: those who wait get its own.
    if (this.#errors.length === 0 || this.#unanswered > 0) return;
    const reported = this.#takeErrors();
    const [missing] = this.#withoutMemory.values();
    throw missing ?? reported;
  }

  /** The error to throw for an operation that the device failed: its loss, if that is why. */
  async failure(doing: string, cause: unknown): Promise<SluiceError> {
    await Promise.all(this.#allocations);
    const [missing] = this.#withoutMemory.values();
    if (missing) return missing;
    if (!this.#lossError && !this.#destroyed) await this.#grace();
    if (this.#lossError) return this.#lossError;
    if (this.#destroyed) return new SluiceError("usage", `${doing}: the device was released meanwhile`, { cause });
    return new SluiceError("gpu", `${doing} on ${this.profile.name}: ${describe(cause)}`, { cause });
  }

  /** Frees all buffers, and the device if Sluice opened it. Nothing works afterwards. */
  destroy(): void {
    if (this.#destroyed) return;
    if (!this.#options.ownsDevice) this.flushWrites();
    this.#destroyed = true;
    this.device.removeEventListener("uncapturederror", this.#onUncaptured);
    this.#forgetLoss();
    for (const end of this.#graces) end();
    for (const buffer of this.#sizes.keys()) buffer.destroy();
    this.#sizes.clear();
    this.tally.close();
    if (this.#options.ownsDevice) this.device.destroy();
    this.#options.onDestroy?.();
  }

  #lacksMemory(buffer: GPUBuffer, error: SluiceError): void {
    this.#outOfMemory ??= error;
    this.#withoutMemory.set(buffer, error);
    if (!this.#sizes.has(buffer)) this.#forgetMissing(buffer);
  }

  /** Once the device has reported the errors of its uses. */
  #forgetMissing(buffer: GPUBuffer): void {
    const forget = (): unknown => this.#withoutMemory.delete(buffer);
    unhurried(() => this.device.queue.onSubmittedWorkDone()).then(forget, forget);
  }

  /** A while in which a loss may be reported. */
  #grace(): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#graces.delete(end);
        resolve();
      };
      const timer = setTimeout(end, LOSS_GRACE_MS);
      this.#graces.add(end);
    });
  }

  readonly #onUncaptured = (event: GPUUncapturedErrorEvent): void => {
    // Otherwise the error is also printed, on the console of a page or on stdout in Node.
    event.preventDefault();
    this.#errorCount++;
    if (this.#errors.length < MAX_KEPT_ERRORS) this.#errors.push(event.error.message.trim());
  };

  #takeErrors(): SluiceError {
    const more = this.#errorCount - this.#errors.length;
    const text = this.#errors.join("\n") + (more > 0 ? `\nand ${more} more` : "");
    this.#errors.length = 0;
    this.#errorCount = 0;
    return new SluiceError("gpu", `${this.profile.name} reported an error: ${text}`, {
      hint: "This is a defect of Sluice; please report it with this message.",
    });
  }

  #memoryError(label: string, size: number, cause: GPUError): SluiceError {
    return new SluiceError(
      "device_limit",
      `${this.profile.name} has no memory for buffer ${label} of ${megabytes(size)}, of ${megabytes(this.bytesInUse)} requested in all`,
      { hint: "Choose a smaller model or context, or close other programs that use the GPU.", cause },
    );
  }
}

function lossError(profile: DeviceProfile, info: GPUDeviceLostInfo): SluiceError {
  const why = info.message.trim() || (info.reason === "destroyed" ? "it was destroyed" : "no reason was given");
  return new SluiceError("device_lost", `The device ${profile.name} was lost: ${why}`, {
    hint: "Load the model again. If it happens again, the GPU may be short of memory, or its driver was reset: try a smaller context or another adapter.",
    cause: info,
  });
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toLocaleString("en-US", { maximumFractionDigits: 1 })} MB`;
}

function describe(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.message.trim() || cause.name;
}
