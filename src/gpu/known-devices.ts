/**
 * What is known of devices beforehand, as data: which adapters compute on the CPU whatever they report, and which
 * kernel family suits an adapter until something is measured on it.
 */
import type { KernelFamily } from "../kernels/kernel.ts";

/** How an adapter names itself, as `GPUAdapterInfo` has it. Browsers leave most of these empty. */
export interface DeviceNames {
  /** Such as `nvidia`; empty if the implementation does not say. */
  readonly vendor: string;
  /** Such as `turing`; empty if the implementation does not say. */
  readonly architecture: string;
  /** The vendor's id or name of the device; empty if the implementation does not say. */
  readonly device: string;
  /** For people; empty if the implementation does not say. */
  readonly description: string;
}

interface KnownDevice {
  /** Parts of the adapter's names in lower case; all that are given must occur. */
  readonly match: Partial<DeviceNames>;
  /** Computes on the CPU. */
  readonly software: boolean;
  readonly family: KernelFamily;
}

/** The first match counts. */
const knownDevices: readonly KnownDevice[] = [
  { match: { architecture: "swiftshader" }, software: true, family: "register" },
  { match: { device: "swiftshader" }, software: true, family: "register" },
  { match: { device: "llvmpipe" }, software: true, family: "register" },
  { match: { description: "llvmpipe" }, software: true, family: "register" },
  { match: { device: "microsoft-basic-render" }, software: true, family: "register" },
  { match: { description: "microsoft basic render" }, software: true, family: "register" },
];

/** Whether an adapter that calls itself so is known to compute on the CPU. */
export function isKnownSoftware(names: DeviceNames): boolean {
  return find(names)?.software ?? false;
}

/**
 * The kernel family to use on a device that nothing was measured on: what is known of it; else `register` where the
 * CPU computes, because barriers between its threads are dear there, and `tiled` on real GPUs.
 */
export function chooseFamily(profile: DeviceNames & { readonly software: boolean }): KernelFamily {
  return find(profile)?.family ?? (profile.software ? "register" : "tiled");
}

function find(names: DeviceNames): KnownDevice | undefined {
  return knownDevices.find(({ match }) =>
    Object.entries(match).every(([field, part]) => names[field as keyof DeviceNames].toLowerCase().includes(part)),
  );
}
