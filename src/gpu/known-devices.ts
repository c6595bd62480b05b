/** First guesses by device, as data. Kernels are chosen through here and nowhere else. */
import type { KernelFamily } from "../kernels/kernel.ts";
import type { DeviceProfile } from "./profile.ts";

interface KnownDevice {
  /** Found, in any case, in the adapter's vendor, architecture or description. */
  readonly match: string;
  readonly family: KernelFamily;
}

/**
 * Devices whose best family is not the default. On both, a workgroup barrier costs microseconds and kernels with
 * shared tiles run several times slower than those in registers (bench/kernels/).
 */
const KNOWN_DEVICES: readonly KnownDevice[] = [
  { match: "swiftshader", family: "register" },
  { match: "llvmpipe", family: "register" },
];

export function chooseFamily({ vendor, architecture, description, isFallback }: DeviceProfile): KernelFamily {
  const words = `${vendor} ${architecture} ${description}`.toLowerCase();
  return KNOWN_DEVICES.find(({ match }) => words.includes(match))?.family ?? (isFallback ? "register" : "tiled");
}
