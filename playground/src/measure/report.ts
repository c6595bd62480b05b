/** The report of a device: everything that was measured here, as JSON that one can attach to an issue. */
import type { BenchResult, DeviceProfile, Profile } from "sluice";
import type { WorkerModel } from "../engine.ts";

export interface PageReport {
  /** Changes with the fields. */
  readonly schema: 1;
  /** In UTC: `2026-11-29T00:21:53Z`. */
  readonly date: string;
  readonly sluice_version: string;
  /** The browser, as it names itself. */
  readonly user_agent: string;
  /** Adapter, features and granted limits, as the engine uses them. */
  readonly device: DeviceProfile;
  /** What the browser's adapter offers, all of it: the engine asks for some. */
  readonly adapter: {
    readonly info: Readonly<Record<string, string>>;
    readonly features: readonly string[];
    readonly limits: Readonly<Record<string, number>>;
  } | null;
  readonly model: {
    readonly name: string;
    readonly model_type: string;
    readonly layers: number;
    readonly hidden_size: number;
    readonly vocab_size: number;
    readonly quantization: string | null;
  };
  readonly bench: BenchResult;
  /** With the model open. */
  readonly gpu_bytes: number;
  readonly profile: Pick<Profile, "clock" | "resolution_ns" | "wall" | "by_kernel" | "by_layer">;
}

export async function reportOf(
  name: string,
  { config, device, gpuBytes }: WorkerModel,
  bench: BenchResult,
  profile: Profile,
): Promise<PageReport> {
  const { clock, resolution_ns, wall, by_kernel, by_layer } = profile;
  return {
    schema: 1,
    date: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    sluice_version: profile.sluice_version,
    user_agent: navigator.userAgent,
    device,
    adapter: await adapterOffers(),
    model: {
      name,
      model_type: config.model_type,
      layers: config.num_hidden_layers,
      hidden_size: config.hidden_size,
      vocab_size: config.vocab_size,
      quantization: profile.quantization,
    },
    bench,
    gpu_bytes: await gpuBytes,
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
