/** A device's properties, read once and never changed; all decisions about kernels and memory start from them. */
import { type DeviceNames, isKnownSoftware } from "./known-devices.ts";

/** The limits that matter for compute, under WebGPU's names. */
export const limitNames = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxUniformBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxUniformBuffersPerShaderStage",
  "maxBindingsPerBindGroup",
  "maxBindGroups",
  "maxDynamicUniformBuffersPerPipelineLayout",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupsPerDimension",
  "minUniformBufferOffsetAlignment",
  "minStorageBufferOffsetAlignment",
] as const satisfies readonly (keyof GPUSupportedLimits)[];

/** A limit of WebGPU that decides what runs. */
export type LimitName = (typeof limitNames)[number];

/** Sizes and alignments in bytes, the rest are counts. */
export type DeviceLimits = Readonly<Record<LimitName, number>>;

/** The device that a model runs on: names, features, limits. */
export interface DeviceProfile extends DeviceNames {
  /** The device's name in messages; never empty. */
  readonly name: string;
  /** The API below WebGPU, e.g. `vulkan`; null if the browser does not report it. */
  readonly backend: string | null;
  /** Whether the CPU computes instead of a GPU. */
  readonly software: boolean;
  /** Optional features that were granted. */
  readonly features: DeviceFeatures;
  /** The granted limits, which may be lower than the adapter's. */
  readonly limits: DeviceLimits;
}

/** Granted optional features that Sluice uses. */
export interface DeviceFeatures {
  /** `shader-f16`: float16 arithmetic in shaders. */
  readonly shaderF16: boolean;
  /** Minimum and maximum threads of a subgroup; null without the feature. */
  readonly subgroups: { readonly min: number; readonly max: number } | null;
  /** `timestamp-query`: the GPU's own clock, for profiles and tuning. */
  readonly timestampQuery: boolean;
}

/** What the device does not report about its origin. */
export interface DeviceOrigin {
  readonly name?: string;
  readonly backend?: string | null;
  /** The adapter's info, for implementations whose devices do not carry it. */
  readonly info?: GPUAdapterInfo;
}

/** Reads the profile of a device. */
export function readProfile(device: GPUDevice, origin: DeviceOrigin = {}): DeviceProfile {
  const info = adapterInfoOf(device) ?? origin.info;
  const names = namesOf(info);
  const { features } = device;
  return deepFreeze({
    ...names,
    name: origin.name ?? displayName(names),
    backend: origin.backend ?? null,
    software: isSoftware(info),
    features: {
      shaderF16: features.has("shader-f16"),
      subgroups: features.has("subgroups")
        ? { min: info?.subgroupMinSize ?? 4, max: info?.subgroupMaxSize ?? 128 }
        : null,
      timestampQuery: features.has("timestamp-query"),
    },
    limits: readLimits(device.limits),
  });
}

/** Picks the limits that matter from those of an adapter or a device. */
function readLimits(limits: GPUSupportedLimits): DeviceLimits {
  return Object.fromEntries(limitNames.map((name) => [name, limits[name]])) as Record<LimitName, number>;
}

/** The names in an adapter's info; empty if it has none. */
export function namesOf(info: GPUAdapterInfo | undefined): DeviceNames {
  return {
    vendor: info?.vendor ?? "",
    architecture: info?.architecture ?? "",
    device: info?.device ?? "",
    description: info?.description ?? "",
  };
}

/** Whether the CPU computes: the adapter reports it, or it is known. */
export function isSoftware(info: GPUAdapterInfo | undefined): boolean {
  return (info?.isFallbackAdapter ?? false) || isKnownSoftware(namesOf(info));
}

/** The most informative of an adapter's names. */
export function displayName({ vendor, architecture, device, description }: DeviceNames): string {
  return description || device || [vendor, architecture].filter((part) => part !== "").join(" ") || "unnamed adapter";
}

/** A limit that is too small for what is needed. */
export interface LimitDeficit {
  readonly limit: LimitName;
  readonly needed: number;
  readonly available: number;
}

/**
 * The limits that `needs` exceed, in the order of {@link limitNames}. Alignments are minima: there, what is
 * needed is the alignment that will be used, and a device that requires a coarser one is insufficient.
 */
export function limitDeficits(
  { limits }: Pick<DeviceProfile, "limits">,
  needs: Partial<Record<LimitName, number>>,
): readonly LimitDeficit[] {
  return limitNames.flatMap((limit) => {
    const needed = needs[limit];
    if (needed === undefined) return [];
    const available = limits[limit];
    const enough = limit.startsWith("min") ? needed % available === 0 : needed <= available;
    return enough ? [] : [{ limit, needed, available }];
  });
}

/** Deficits as text, e.g. `maxBufferSize is 268,435,456, short of the 300,000,000 needed by 31,564,544`. */
export function describeDeficits(deficits: readonly LimitDeficit[]): string {
  const sentence = ({ limit, needed, available }: LimitDeficit) =>
    limit.startsWith("min")
      ? `${limit} is ${grouped(available)}, and ${grouped(needed)} is not a multiple of it`
      : `${limit} is ${grouped(available)}, short of the ${grouped(needed)} needed by ${grouped(needed - available)}`;
  return deficits.map(sentence).join("; ");
}

function grouped(value: number): string {
  return value.toLocaleString("en-US");
}

function adapterInfoOf(device: GPUDevice): GPUAdapterInfo | undefined {
  // The type says it always exists, but the first releases of WebGPU in browsers lack it.
  return (device as { readonly adapterInfo?: GPUAdapterInfo }).adapterInfo;
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === "object" && part !== null) deepFreeze(part);
  return Object.freeze(value);
}
