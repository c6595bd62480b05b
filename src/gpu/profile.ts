/** What a device is and can do, read once and never changed. */

export interface DeviceLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupsPerDimension: number;
}

export interface DeviceProfile {
  readonly vendor: string;
  readonly architecture: string;
  /** The adapter's own words, e.g. its product name; may be empty. */
  readonly description: string;
  /** The browser or driver says that this is a software fallback. */
  readonly isFallback: boolean;
  readonly features: readonly string[];
  readonly limits: DeviceLimits;
}

/** The names of {@link DeviceLimits}. */
export const LIMIT_NAMES = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupsPerDimension",
] as const satisfies readonly (keyof DeviceLimits)[];

export function readProfile(info: GPUAdapterInfo, device: Pick<GPUDevice, "features" | "limits">): DeviceProfile {
  const limits = Object.fromEntries(LIMIT_NAMES.map((name) => [name, device.limits[name]])) as unknown as DeviceLimits;
  return Object.freeze({
    vendor: info.vendor,
    architecture: info.architecture,
    description: info.description,
    isFallback: info.isFallbackAdapter === true,
    features: Object.freeze([...device.features].sort()),
    limits: Object.freeze(limits),
  });
}

/** One line that names a device: `SwiftShader driver 5.0.0 (google swiftshader)`. */
export function deviceName({
  description,
  vendor,
  architecture,
}: Pick<DeviceProfile, "description" | "vendor" | "architecture">): string {
  const maker = [vendor, architecture].filter((word) => word !== "").join(" ");
  if (description === "") return maker === "" ? "an unnamed adapter" : maker;
  return maker === "" ? description : `${description} (${maker})`;
}
