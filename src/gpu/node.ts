/**
 * WebGPU in Node: Dawn, from the npm package `webgpu`, on a real GPU or another driver of the system where there is
 * one, else on the SwiftShader that @sparticuz/chromium carries.
 */

import { existsSync } from "node:fs";
import { constants } from "node:os";
import { resolve } from "node:path";
import { SluiceError } from "../errors.ts";
import type { HostAdapter, HostOptions } from "./host.ts";
import { namedDrivers, searchedFolders, systemDrivers } from "./node-drivers.ts";
import { findCarrier, unpackDriver } from "./node-swiftshader.ts";
import { deviceName } from "./profile.ts";

/** The one command that mends a machine without WebGPU. */
const INSTALL = "npm install webgpu @sparticuz/chromium";

/** Nanosecond timestamps: Dawn's default is steps of 65,536 ns. */
const DAWN_FLAGS = ["disable-dawn-features=timestamp_quantization"];

interface Dawn {
  create(flags: string[]): GPU;
  readonly globals: Record<string, unknown>;
}

/** A driver to try: a description for VK_DRIVER_FILES, or null for what the system offers by itself. */
export interface DriverChoice {
  readonly kind: "system" | "file" | "software";
  readonly icd: string | null;
}

/** Dawn keeps a device alive only as long as the object that made it is referenced. */
const inUse = new Set<GPU>();

/** @throws SluiceError `no_adapter` that says what was tried and which command mends it */
export async function openAdapter({ adapter: choice, onNotice }: HostOptions): Promise<HostAdapter> {
  const tried: string[] = [];
  for (const driver of driversFor(choice)) {
    const found = await tryDriver(driver, tried);
    if (!found) continue;
    if (!matches(choice, found.adapter)) {
      tried.push(`${deviceName(found.adapter.info)} does not match`);
      found.release();
      continue;
    }
    if (driver.kind === "software" && choice === "auto") {
      onNotice(
        `No GPU driver found: running on the CPU with ${deviceName(found.adapter.info)}. \`sluice info\` tells more.`,
      );
    }
    return found;
  }
  const wanted = choice === "auto" ? "No WebGPU adapter was found" : `No adapter matches ${JSON.stringify(choice)}`;
  throw new SluiceError("no_adapter", `${wanted}${tried.length > 0 ? ` (${tried.join("; ")})` : ""}`, {
    hint: findCarrier() ? "`sluice info` lists what this machine has." : `\`${INSTALL}\` brings a software GPU.`,
  });
}

/** Drivers in the order in which they are tried. */
export function driversFor(choice: string): readonly DriverChoice[] {
  const software: DriverChoice = { kind: "software", icd: null };
  if (choice === "swiftshader") return [software];
  if (choice.endsWith(".json")) {
    const icd = resolve(choice);
    if (!existsSync(icd)) throw new SluiceError("no_adapter", `There is no driver description ${icd}`);
    return [{ kind: "file", icd }];
  }
  const system: DriverChoice = { kind: "system", icd: null };
  // Elsewhere Dawn finds Metal and Direct3D without Vulkan.
  const hasSystem = process.platform !== "linux" || namedDrivers() !== null || systemDrivers().length > 0;
  return hasSystem ? [system, software] : [software];
}

/** Why the system's drivers are or are not tried, for `sluice info`. */
export function systemDriverReason(): string {
  if (process.platform !== "linux") return "the system's own graphics driver";
  const named = namedDrivers();
  if (named) return `named by VK_DRIVER_FILES: ${named.join(", ")}`;
  const found = systemDrivers();
  return found.length > 0 ? found.join(", ") : `no Vulkan driver under ${searchedFolders()}`;
}

async function tryDriver(driver: DriverChoice, tried: string[]): Promise<HostAdapter | null> {
  const saved = process.env.VK_DRIVER_FILES;
  try {
    if (driver.kind === "software") {
      const carrier = findCarrier();
      if (!carrier) {
        tried.push("@sparticuz/chromium, which carries a software GPU, is not installed");
        return null;
      }
      const { icd, loader } = await unpackDriver(carrier);
      process.env.VK_DRIVER_FILES = icd;
      loadVulkan(loader);
    } else if (driver.icd) {
      process.env.VK_DRIVER_FILES = driver.icd;
    }
    const gpu = (await importDawn()).create(DAWN_FLAGS);
    inUse.add(gpu);
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (adapter) return { adapter, release: () => inUse.delete(gpu) };
    inUse.delete(gpu);
    tried.push(
      driver.kind === "system"
        ? `the system's drivers offer none (${systemDriverReason()})`
        : `${driver.icd ?? "SwiftShader"} offers none`,
    );
    return null;
  } finally {
    // A browser started from here must not inherit the driver: it would find no adapter with it.
    if (saved === undefined) delete process.env.VK_DRIVER_FILES;
    else process.env.VK_DRIVER_FILES = saved;
  }
}

function matches(choice: string, adapter: GPUAdapter): boolean {
  if (choice === "auto" || choice === "swiftshader" || choice.endsWith(".json")) return true;
  return deviceName(adapter.info).toLowerCase().includes(choice.toLowerCase());
}

async function importDawn(): Promise<Dawn> {
  try {
    const dawn = (await import("webgpu")) as unknown as Dawn;
    for (const [name, value] of Object.entries(dawn.globals)) {
      if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
    return dawn;
  } catch (cause) {
    throw new SluiceError(
      "no_adapter",
      `WebGPU for Node, the package webgpu, cannot be loaded: ${(cause as Error).message}`,
      {
        hint: `Run \`${INSTALL}\`.`,
        cause,
      },
    );
  }
}

/**
 * Loads the carried Vulkan loader where the system has none. Dawn opens `libvulkan.so.1` by name and finds it when it
 * is in the process already. Node's dlopen complains that it is no add-on, but by then it is loaded.
 */
function loadVulkan(loader: string): void {
  if (process.platform !== "linux") return;
  const RTLD_NODELETE = 0x1000;
  const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
  for (const name of ["libvulkan.so.1", loader]) {
    try {
      process.dlopen({ exports: {} } as NodeModule, name, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
      return;
    } catch (error) {
      if (String(error).includes("self-register")) return;
      if (name === loader)
        throw new SluiceError("no_adapter", `The Vulkan loader ${loader} cannot be loaded: ${String(error)}`);
    }
  }
}
