/** Sources of adapters in Node: the system, a driver that the user names, and the carried SwiftShader. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { HostAdapter } from "./host.ts";
import { isKnownSoftware } from "./known-devices.ts";
import { INSTALL_COMMAND, isNamed, listNames, requestNamed } from "./node-dawn.ts";
import { type Carrier, findCarrier, findUnpacked, unpackDriver } from "./node-swiftshader.ts";
import { findDriverFiles, hasVulkanLoader, loadError, loadVulkanLoader } from "./node-vulkan.ts";
import { displayName, isSoftware, namesOf } from "./profile.ts";

export type SourceKind = "system" | "file" | "carried";

/** A source whose adapters can be listed. */
export interface Source {
  readonly kind: SourceKind;
  /** For messages, e.g. `/usr/share/vulkan/icd.d/radeon_icd.json`. */
  readonly origin: string;
  /** Vulkan driver files; null if Dawn needs none (Metal, Direct3D). */
  readonly files: readonly string[] | null;
  /** The driver's library if known, to find out why it offers nothing. */
  readonly library: string | null;
}

/** A source without adapters. */
export interface Absence {
  readonly kind: SourceKind;
  readonly origin: string;
  /** The reason, as a sentence without its full stop. */
  readonly absent: string;
}

const CARRIER = "@sparticuz/chromium";

/** What the system offers by itself: Metal, Direct3D, or Vulkan by its driver files. */
export async function systemSource(): Promise<Source | Absence> {
  const kind = "system";
  const native = { darwin: "Metal", win32: "Direct3D" }[process.platform as string];
  if (native) return { kind, origin: native, files: null, library: null };
  const { files, origin } = findDriverFiles();
  if (files.length === 0)
    return { kind, origin: "the system's Vulkan drivers", absent: `no Vulkan driver file under ${origin}` };
  const problem = await ensureVulkanLoader();
  return problem ? { kind, origin, absent: problem } : { kind, origin, files, library: null };
}

/** The driver that a Vulkan driver file describes. */
export async function fileSource(path: string): Promise<Source | Absence> {
  const kind = "file";
  const file = resolve(path);
  if (!existsSync(file)) return { kind, origin: file, absent: `there is no file ${file}` };
  const problem = await ensureVulkanLoader();
  return problem ? { kind, origin: file, absent: problem } : { kind, origin: file, files: [file], library: null };
}

/**
 * The SwiftShader that @sparticuz/chromium carries.
 * @param unpack whether to unpack it if not done before
 * @throws SluiceError as {@link unpackDriver}
 */
export async function carriedSource(unpack = true): Promise<Source | Absence> {
  const kind = "carried";
  const carrier = await usableCarrier();
  if (typeof carrier === "string") return { kind, origin: CARRIER, absent: carrier };
  const origin = `${CARRIER} ${carrier.version}`;
  const driver = unpack ? await unpackDriver(carrier) : await findUnpacked(carrier);
  if (!driver) return { kind, origin, absent: "not unpacked yet; this happens at its first use" };
  const problem = hasVulkanLoader() ? null : loadVulkanLoader(driver.loader);
  if (problem) return { kind, origin, absent: `its Vulkan loader does not load: ${problem}` };
  return { kind, origin, files: [driver.icd], library: driver.library };
}

/**
 * The source's fastest adapter, a GPU before software; or why there is none.
 * @throws SluiceError `no_adapter` if Dawn is not installed or does not load
 */
export async function bestAdapter(source: Source): Promise<HostAdapter | Absence> {
  const { files, kind, origin } = source;
  const listed = await listNames(files);
  const software = listed.every(({ name }) => isSoftwareName(name));
  const adapter = listed.length > 0 ? await requestNamed(files, null, software) : null;
  if (!adapter) return { kind, origin, absent: whyNone(source) };
  const entry = listed.find(({ name }) => isNamed(adapter.info, name));
  const first = {
    adapter,
    name: entry?.name ?? displayName(namesOf(adapter.info)),
    backend: entry?.backend ?? null,
    origin,
  };
  if (!isSoftware(adapter.info) || listed.length === 1) return first;
  return (await allAdapters(source)).find((other) => !isSoftware(other.adapter.info)) ?? first;
}

/**
 * All adapters of a source.
 * @throws SluiceError `no_adapter` if Dawn is not installed or does not load
 */
export async function allAdapters({ files, origin }: Source): Promise<readonly HostAdapter[]> {
  const found: HostAdapter[] = [];
  for (const { name, backend } of await listNames(files)) {
    const adapter = await requestNamed(files, name, isSoftwareName(name));
    if (adapter) found.push({ adapter, name, backend, origin });
  }
  return found;
}

/** Whether a name from {@link listNames} is that of a device which computes on the CPU. */
function isSoftwareName(name: string): boolean {
  const device = name.toLowerCase();
  return isKnownSoftware({ vendor: "", architecture: "", device, description: device });
}

/** The reason why a source offers no adapter, as a sentence without its full stop. */
export function whyNone({ library, origin }: Source): string {
  const problem = library && loadError(library);
  return problem ? `the driver does not load: ${problem}` : `${origin} offers no adapter that WebGPU can use`;
}

/** The package, or why it cannot be used here. */
async function usableCarrier(): Promise<Carrier | string> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return `its SwiftShader is built for Linux on x64, and this is ${process.platform} on ${process.arch}`;
  }
  return (await findCarrier()) ?? `it is not installed; \`${INSTALL_COMMAND}\` installs it`;
}

/** Ensures that Dawn finds a Vulkan loader: the system's, else the carried one. Returns why there is none, or null. */
async function ensureVulkanLoader(): Promise<string | null> {
  if (process.platform !== "linux" || hasVulkanLoader()) return null;
  const carrier = await usableCarrier();
  if (typeof carrier === "string")
    return `the Vulkan loader libvulkan.so.1 is not installed, and neither is ${CARRIER}, which includes one`;
  return loadVulkanLoader((await unpackDriver(carrier)).loader);
}
