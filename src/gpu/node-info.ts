/** The result of `sluice info`: every adapter, which one is used and why, and what it can do. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { SluiceError } from "../errors.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import { type HostAdapter, isAuto } from "./host.ts";
import { chooseFamily } from "./known-devices.ts";
import { isDriverFile, openAdapter } from "./node.ts";
import {
  type Absence,
  allAdapters,
  carriedSource,
  fileSource,
  type Source,
  systemSource,
  whyNone,
} from "./node-sources.ts";
import { cacheFolders, findCarrier, findUnpacked } from "./node-swiftshader.ts";
import { openDevice } from "./open.ts";
import { type DeviceProfile, isSoftware } from "./profile.ts";

/** One possible choice of adapter on this machine. */
export interface AdapterListing {
  /** Null if there is no adapter. */
  readonly name: string | null;
  readonly kind: "gpu" | "software" | null;
  readonly backend: string | null;
  /** Where it comes from, or would come from. */
  readonly origin: string;
  /** The `adapter` option that chooses it; null if there is no adapter. */
  readonly choice: string | null;
  /** Whether it is used. */
  readonly used: boolean;
  /** Why it is used, or why there is none; null for an adapter that was just not chosen. */
  readonly reason: string | null;
}

export interface Info {
  readonly node: string;
  readonly platform: string;
  /** Version of the package `webgpu`, which is Dawn; null if it is not installed. */
  readonly webgpu: string | null;
  /** Version of @sparticuz/chromium; null if it is not installed. */
  readonly chromium: string | null;
  /** Where the software GPU is unpacked, or would be. */
  readonly cache_folder: string;
  readonly adapters: readonly AdapterListing[];
  /** The device as Sluice opens it; null if there is none. */
  readonly device: DeviceProfile | null;
  /** The kernel family that it starts with. */
  readonly family: KernelFamily | null;
  /** Why there is no device, and what to do. */
  readonly problem: string | null;
}

/**
 * Inspects this machine, and opens the device that `adapter` chooses. A missing adapter is reported, not thrown.
 * @param options.adapter as for `load`
 */
export async function gatherInfo({ adapter }: { readonly adapter?: string | undefined } = {}): Promise<Info> {
  let found: HostAdapter | null = null;
  let device: DeviceProfile | null = null;
  let problem: string | null = null;
  try {
    found = await openAdapter({ adapter });
    const gpu = await openDevice(found);
    device = gpu.profile;
    gpu.destroy();
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    problem = error.message;
  }
  const carrier = await findCarrier();
  const unpacked = carrier && (await findUnpacked(carrier));
  return {
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    webgpu: await versionOfDawn(),
    chromium: carrier?.version ?? null,
    cache_folder: unpacked ? dirname(dirname(unpacked.icd)) : (cacheFolders()[0] as string),
    adapters: await listAdapters(adapter, found),
    device,
    family: device && chooseFamily(device),
    problem,
  };
}

/** An {@link Info} as text, ending in a newline. */
export function formatInfo(info: Info): string {
  const lines = ["Adapters"];
  for (const { name, kind, backend, origin, choice, used, reason } of info.adapters) {
    const what = [kind === "gpu" ? "GPU" : kind, backend].filter((part) => part !== null).join(", ");
    lines.push(name === null ? `  - none from ${origin}` : `  ${used ? "*" : "-"} ${name} (${what}) from ${origin}`);
    if (reason !== null) lines.push(`      ${used ? "used: " : ""}${reason}`);
    else if (choice !== null) lines.push(`      --adapter ${JSON.stringify(choice)} chooses it`);
  }
  const { device } = info;
  if (device) {
    lines.push("", `Device: ${device.name}`, ...table(factsOf(device, info.family)));
  } else if (info.problem !== null) {
    lines.push("", info.problem);
  }
  lines.push("", `Node ${info.node} on ${info.platform}, webgpu ${info.webgpu ?? "not installed"}`);
  lines.push(`Software GPU: @sparticuz/chromium ${info.chromium ?? "not installed"}, cache ${info.cache_folder}`, "");
  return lines.join("\n");
}

function factsOf(device: DeviceProfile, family: KernelFamily | null): readonly (readonly [string, string])[] {
  const { shaderF16, subgroups, timestampQuery } = device.features;
  return [
    ["kernels", family ?? "none"],
    ["shader-f16", shaderF16 ? "yes" : "no"],
    ["subgroups", subgroups ? `${subgroups.min} to ${subgroups.max} threads` : "no"],
    ["timestamp-query", timestampQuery ? "yes" : "no"],
    ...Object.entries(device.limits).map(([name, value]) => [name, value.toLocaleString("en-US")] as const),
  ];
}

function table(rows: readonly (readonly [string, string])[]): readonly string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`);
}

async function listAdapters(choice: string | undefined, found: HostAdapter | null): Promise<readonly AdapterListing[]> {
  const sources: (Source | Absence)[] = [];
  if (choice !== undefined && !isAuto(choice) && isDriverFile(choice)) sources.push(await fileSource(choice));
  sources.push(await systemSource(), await carriedSource(false));
  const listings: AdapterListing[] = [];
  for (const source of sources) listings.push(...(await listingsOf(source, choice, found)));
  return listings;
}

async function listingsOf(
  source: Source | Absence,
  choice: string | undefined,
  found: HostAdapter | null,
): Promise<readonly AdapterListing[]> {
  const { origin, kind: sourceKind } = source;
  const none = { name: null, kind: null, backend: null, origin, choice: null, used: false };
  if ("absent" in source) return [{ ...none, reason: source.absent }];
  let adapters: readonly HostAdapter[];
  try {
    adapters = await allAdapters(source);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    return [{ ...none, reason: error.message.split("\n")[0] as string }];
  }
  if (adapters.length === 0) return [{ ...none, reason: whyNone(source) }];
  return adapters.map(({ adapter, name, backend }): AdapterListing => {
    const used = found?.name === name && found.origin === origin;
    const kind = isSoftware(adapter.info) ? "software" : "gpu";
    const reason = used ? whyUsed(source, kind, choice) : null;
    return { name, kind, backend, origin, choice: sourceKind === "carried" ? "swiftshader" : name, used, reason };
  });
}

function whyUsed({ kind: sourceKind }: Source, kind: "gpu" | "software", choice: string | undefined): string {
  if (!isAuto(choice)) return `--adapter ${JSON.stringify(choice)} chooses it`;
  if (kind === "gpu") return "a GPU comes first";
  if (sourceKind === "carried") return "the system offers no adapter";
  return "the system offers no GPU, and its own drivers come before the carried one";
}

async function versionOfDawn(): Promise<string | null> {
  let entry: string;
  try {
    entry = createRequire(import.meta.url).resolve("webgpu");
  } catch {
    // Not installed: null is the answer.
    return null;
  }
  const { version } = JSON.parse(await readFile(join(dirname(entry), "package.json"), "utf8")) as { version: string };
  return version;
}
