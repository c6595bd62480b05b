/** Opening a GPU: an adapter, a device with as much as the engine can use, and an account of its memory. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import { type DeviceProfile, LIMIT_NAMES, readProfile } from "./profile.ts";

export interface OpenOptions {
  readonly adapter?: string;
  readonly device?: GPUDevice;
  readonly limits?: "default" | "adapter";
  readonly signal?: AbortSignal;
  readonly onNotice?: (message: string) => void;
}

/** Features that kernels or the profiler use where they are there. */
const WANTED_FEATURES: readonly GPUFeatureName[] = ["timestamp-query", "shader-f16", "subgroups"];

/** @throws SluiceError `no_adapter` */
export async function openGpu(options: OpenOptions): Promise<Gpu> {
  if (options.device)
    return new Gpu(options.device, readProfile(options.device.adapterInfo, options.device), undefined);
  // Bundlers for browsers swap this module for browser.ts (package.json says so), hence the late import.
  const { openAdapter } = await import("./node.ts");
  const { adapter, release } = await openAdapter({
    adapter: options.adapter ?? "auto",
    onNotice: options.onNotice ?? (() => undefined),
  });
  throwIfAborted(options.signal);
  const features = WANTED_FEATURES.filter((feature) => adapter.features.has(feature));
  const limits =
    options.limits === "default" ? {} : Object.fromEntries(LIMIT_NAMES.map((name) => [name, adapter.limits[name]]));
  try {
    const device = await adapter.requestDevice({ requiredFeatures: features, requiredLimits: limits });
    return new Gpu(device, readProfile(adapter.info, device), release);
  } catch (cause) {
    release();
    throw new SluiceError("no_adapter", `The adapter gave no device: ${(cause as Error).message}`, { cause });
  }
}

export class Gpu {
  readonly device: GPUDevice;
  readonly profile: DeviceProfile;
  /** Frees an owned device's adapter; absent for a device that belongs to the caller. */
  readonly #release: (() => void) | undefined;
  readonly #sizes = new Map<GPUBuffer, number>();
  readonly #allocations: Promise<GPUError | null>[] = [];
  #bytes = 0;
  #peak = 0;
  #failure: SluiceError | undefined;
  #destroyed = false;
  readonly #onError = (event: Event): void => {
    const { error } = event as GPUUncapturedErrorEvent;
    event.preventDefault();
    this.#failure ??= new SluiceError("gpu", `The GPU reported: ${error.message}`, {
      hint: "This is a defect in Sluice; please report it with what you ran and `sluice info`.",
    });
  };

  constructor(device: GPUDevice, profile: DeviceProfile, release: (() => void) | undefined) {
    this.device = device;
    this.profile = profile;
    this.#release = release;
    device.addEventListener("uncapturederror", this.#onError);
    void device.lost.then(({ reason, message }) => {
      this.#failure = new SluiceError("device_lost", `The GPU device was lost (${reason || "unknown"}): ${message}`, {
        hint: "What was in GPU memory is gone. Load the model again.",
      });
    });
  }

  /** Bytes of the buffers made here and not yet released. */
  get bytesInUse(): number {
    return this.#bytes;
  }

  get peakBytes(): number {
    return this.#peak;
  }

  /** @throws SluiceError `device_lost` or `gpu`, once something went wrong */
  checkAlive(): void {
    if (this.#failure) throw this.#failure;
  }

  /**
   * Makes a buffer. Whether the device had room for it is known after {@link checkAllocations}.
   * @throws SluiceError `device_limit` naming the limit that it would exceed
   */
  createBuffer(label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    this.checkAlive();
    const { maxBufferSize, maxStorageBufferBindingSize } = this.profile.limits;
    const isStorage = (usage & GPUBufferUsage.STORAGE) !== 0;
    const [limit, name] =
      isStorage && maxStorageBufferBindingSize < maxBufferSize
        ? ([maxStorageBufferBindingSize, "maxStorageBufferBindingSize"] as const)
        : ([maxBufferSize, "maxBufferSize"] as const);
    if (size > limit) {
      throw new SluiceError("device_limit", `${label} takes ${size} bytes; this device allows ${limit} (${name})`, {
        hint: "Use a smaller context or model, or another adapter.",
      });
    }
    this.device.pushErrorScope("out-of-memory");
    const buffer = this.device.createBuffer({ label, size, usage });
    this.#allocations.push(this.device.popErrorScope());
    this.#sizes.set(buffer, size);
    this.#bytes += size;
    this.#peak = Math.max(this.#peak, this.#bytes);
    return buffer;
  }

  /** Waits for the device's word on every buffer made since the last call. @throws SluiceError `device_limit` */
  async checkAllocations(): Promise<void> {
    const errors = await Promise.all(this.#allocations.splice(0));
    const failed = errors.find((error) => error !== null);
    if (failed) {
      throw new SluiceError("device_limit", `The device is out of memory at ${this.#bytes} bytes: ${failed.message}`, {
        hint: "Use a smaller context or model, or another adapter.",
      });
    }
  }

  release(buffer: GPUBuffer): void {
    this.#bytes -= this.#sizes.get(buffer) ?? 0;
    this.#sizes.delete(buffer);
    buffer.destroy();
  }

  /** Resolves when everything submitted so far is done. @throws SluiceError `device_lost`, `gpu` */
  async idle(): Promise<void> {
    this.checkAlive();
    try {
      await this.device.queue.onSubmittedWorkDone();
    } catch (cause) {
      throw await this.failure(cause);
    }
    this.checkAlive();
  }

  /** The typed error behind a rejected GPU promise: loss of the device, as a rule. */
  async failure(cause: unknown): Promise<SluiceError> {
    // The event that explains a rejection may arrive just after it.
    await new Promise((resolve) => setTimeout(resolve, 0));
    return this.#failure ?? new SluiceError("gpu", `The GPU failed: ${String(cause)}`, { cause });
  }

  /** Ends the device, if it was opened here. */
  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.device.removeEventListener("uncapturederror", this.#onError);
    for (const buffer of [...this.#sizes.keys()]) this.release(buffer);
    if (!this.#release) return;
    this.device.destroy();
    this.#release();
  }
}
