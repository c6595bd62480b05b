/** What `sluice info` tells: the adapters of this machine, and the one that would be used. */
import { SluiceError } from "../errors.ts";
import { chooseFamily } from "./known-devices.ts";
import { driversFor, openAdapter, systemDriverReason } from "./node.ts";
import { cacheFolders, findCarrier } from "./node-swiftshader.ts";
import { openGpu } from "./open.ts";
import { type DeviceProfile, deviceName } from "./profile.ts";

export interface AdapterListing {
  readonly name: string;
  /** What to give to --adapter; null where there is nothing to give. */
  readonly adapter: string | null;
  readonly available: boolean;
  /** Where it comes from, or why it is not there. */
  readonly reason: string;
}

export interface Info {
  readonly node: string;
  readonly adapters: readonly AdapterListing[];
  readonly used: DeviceProfile | null;
  readonly family: string | null;
  /** Why nothing can be used. */
  readonly problem: string | null;
  readonly cacheFolder: string;
}

export async function gatherInfo({ adapter = "auto" }: { readonly adapter?: string }): Promise<Info> {
  const adapters = [await listSystem(), await listSoftware()];
  const base = { node: process.version, adapters, cacheFolder: cacheFolders()[0] ?? "" };
  try {
    const gpu = await openGpu({ adapter });
    const used = gpu.profile;
    gpu.destroy();
    return { ...base, used, family: chooseFamily(used), problem: null };
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "no_adapter") throw error;
    return { ...base, used: null, family: null, problem: error.message };
  }
}

async function listSystem(): Promise<AdapterListing> {
  const reason = systemDriverReason();
  if (!driversFor("auto").some(({ kind }) => kind === "system")) {
    return { name: "system GPU", adapter: null, available: false, reason };
  }
  const { create } = (await import("webgpu")) as unknown as { create(flags: string[]): GPU };
  const found = await create([]).requestAdapter({ powerPreference: "high-performance" });
  if (!found) return { name: "system GPU", adapter: null, available: false, reason: `no adapter from ${reason}` };
  const name = deviceName(found.info);
  return { name, adapter: found.info.description || found.info.vendor, available: true, reason };
}

async function listSoftware(): Promise<AdapterListing> {
  if (!findCarrier()) {
    return { name: "SwiftShader", adapter: null, available: false, reason: "@sparticuz/chromium is not installed" };
  }
  const { adapter, release } = await openAdapter({ adapter: "swiftshader", onNotice: () => undefined });
  const name = deviceName(adapter.info);
  release();
  return { name, adapter: "swiftshader", available: true, reason: "software, carried by @sparticuz/chromium" };
}

export function formatInfo({ node, adapters, used, family, problem, cacheFolder }: Info): string {
  const lines = ["Adapters:"];
  for (const { name, adapter, available, reason } of adapters) {
    lines.push(`  ${available ? "•" : "–"} ${name}${available ? "" : ": none"}`, `      ${reason}`);
    if (adapter) lines.push(`      --adapter ${JSON.stringify(adapter)}`);
  }
  lines.push("", "Used:");
  if (!used) lines.push(`  nothing. ${problem ?? ""}`);
  else {
    lines.push(`  ${deviceName(used)}, with the ${family} kernels`);
    lines.push(`  features: ${used.features.join(", ") || "none"}`);
    for (const [name, value] of Object.entries(used.limits)) lines.push(`  ${name}: ${value.toLocaleString("en-US")}`);
  }
  lines.push("", `Node ${node}, cache in ${cacheFolder}`, "");
  return lines.join("\n");
}
