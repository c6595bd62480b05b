/** What a report of the page adds to the library's: the adapter as this browser shows it, and where the time went. */
import type { DeviceReport, Profile } from "sluice";

export interface PageReport extends DeviceReport {
  /** What the browser's adapter offers, all of it: the engine asks for some. */
  readonly adapter: {
    readonly info: Readonly<Record<string, string>>;
    readonly features: readonly string[];
    readonly limits: Readonly<Record<string, number>>;
  } | null;
  readonly gpu_bytes: number;
  readonly profile: Pick<Profile, "clock" | "resolution_ns" | "wall" | "by_kernel" | "by_layer">;
}

export async function pageReport(report: DeviceReport, profile: Profile, gpuBytes: number): Promise<PageReport> {
  const { clock, resolution_ns, wall, by_kernel, by_layer } = profile;
  return {
    ...report,
    adapter: await adapterOffers(),
    gpu_bytes: gpuBytes,
    profile: { clock, resolution_ns, wall, by_kernel, by_layer },
  };
}

async function adapterOffers(): Promise<PageReport["adapter"]> {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter) return null;
  const { vendor, architecture, device, description } = adapter.info;
  const limits: Record<string, number> = {};
  // Limits are getters of the prototype.
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === "number") limits[name] = value;
  }
  return { info: { vendor, architecture, device, description }, features: [...adapter.features].sort(), limits };
}
