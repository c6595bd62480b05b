/**
 * Known devices, as data: which adapters compute on the CPU whatever they report, and which
 * kernel family suits an adapter before tuning.
 */
import type { KernelFamily } from "../kernels/kernel.ts";

/** An adapter's names, as in `GPUAdapterInfo`. Browsers leave most of these empty. */
export interface DeviceNames {
  /** Such as `nvidia`; empty if not reported. */
  readonly vendor: string;
  /** Such as `turing`; empty if not reported. */
  readonly architecture: string;
  /** The vendor's id or name of the device; empty if not reported. */
  readonly device: string;
  /** Display name; empty if not reported. */
  readonly description: string;
}

interface KnownDevice {
  /** Parts of the adapter's names in lower case; all that are given must occur. */
  readonly match: Partial<DeviceNames>;
  /** Whether it computes on the CPU. */
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

/** Whether an adapter with these names is known to compute on the CPU. */
export function isKnownSoftware(names: DeviceNames): boolean {
  return find(names)?.software ?? false;
}

/**
 * The kernel family for a device without measurements: the known one; otherwise `register` if the
 * CPU computes, because barriers are slow there, and `tiled` on real GPUs.
 */
export function chooseFamily(profile: DeviceNames & { readonly software: boolean }): KernelFamily {
  return find(profile)?.family ?? (profile.software ? "register" : "tiled");
}

function find(names: DeviceNames): KnownDevice | undefined {
  return knownDevices.find(({ match }) =>
    Object.entries(match).every(([field, part]) => names[field as keyof DeviceNames].toLowerCase().includes(part)),
  );
}
