/** Opens a device: finds an adapter, requests useful limits and features, and reads the profile. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import { Gpu } from "./gpu.ts";
import { type AdapterRequest, type HostAdapter, IN_BROWSER } from "./host.ts";
import { limitNames, readProfile } from "./profile.ts";

export { Gpu } from "./gpu.ts";

export interface OpenOptions extends AdapterRequest {
  /** A device to use as it is. It stays the caller's: `destroy()` frees what was made on it, not the device. */
  readonly device?: GPUDevice | undefined;
  /** `adapter` (default): the adapter's highest limits; `default`: those that WebGPU guarantees everywhere. */
  readonly limits?: "default" | "adapter" | undefined;
}

/** Features requested if present; nothing depends on them. */
const optionalFeatures: readonly GPUFeatureName[] = ["timestamp-query", "shader-f16", "subgroups"];

/** Finds an adapter and opens a device on it, or wraps the given one: {@link findAdapter}, then {@link openFound}. */
export async function openGpu(options: OpenOptions = {}): Promise<Gpu> {
  return openFound(await findAdapter(options), options);
}

/**
 * Finds out whether there is something to run on, before anything else is tried.
 * @returns null for a caller who gives a device
 * @throws SluiceError `no_adapter` saying what was searched and what to do; `aborted`
 */
export async function findAdapter(options: OpenOptions): Promise<HostAdapter | null> {
  throwIfAborted(options.signal);
  if (options.device) return null;
  // Bundlers for browsers swap this module for browser.ts, hence the late import.
  const { openAdapter } = await import("./node.ts");
  return openAdapter(options);
}

/** @throws SluiceError `no_adapter` if the adapter refuses; `aborted` */
export async function openFound(found: HostAdapter | null, { device, limits, signal }: OpenOptions): Promise<Gpu> {
  if (device) return calibrated(new Gpu(device, readProfile(device), { ownsDevice: false }));
  const gpu = await openDevice(found as HostAdapter, limits);
  if (signal?.aborted) gpu.destroy();
  throwIfAborted(signal);
  return gpu;
}

/**
 * Opens a device on an adapter that has not opened one yet.
 * @throws SluiceError `no_adapter` if the adapter refuses
 */
export async function openDevice(found: HostAdapter, limits: "default" | "adapter" = "adapter"): Promise<Gpu> {
  const { adapter, name } = found;
  const requiredFeatures = optionalFeatures.filter((feature) => adapter.features.has(feature));
  // Alignments stay at the guaranteed values: finer ones would gain nothing.
  const raised = limits === "default" ? [] : limitNames.filter((limit) => limit.startsWith("max"));
  const requiredLimits = Object.fromEntries(raised.map((limit) => [limit, adapter.limits[limit]]));
  let device: GPUDevice;
  try {
    device = await adapter.requestDevice({ label: "sluice", requiredFeatures, requiredLimits });
  } catch (cause) {
    throw new SluiceError("no_adapter", `The adapter ${name} gave no device: ${String(cause)}`, {
      hint: "Choose another adapter.",
      field: "adapter",
      cause,
    });
  }
  found.onDevice?.(device);
  return calibrated(new Gpu(device, readProfile(device, { ...found, info: adapter.info }), { ownsDevice: true }));
}

/** Browsers may report finished work late; Node does not. */
async function calibrated(gpu: Gpu): Promise<Gpu> {
  if (IN_BROWSER) await gpu.waiter.calibrate();
  return gpu;
}
