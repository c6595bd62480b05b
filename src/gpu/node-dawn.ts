/** Dawn, the WebGPU implementation that the npm package `webgpu` provides for Node, and its adapters. */
import { SluiceError } from "../errors.ts";
import { withDriverFiles } from "./node-vulkan.ts";

/** The command that installs WebGPU on a machine without it. */
export const INSTALL_COMMAND = "npm install webgpu @sparticuz/chromium";

/** Of Dawn. Nanosecond timestamps in place of steps of 65,536 ns. */
const DISABLED = ["timestamp_quantization"];

/**
 * Of Dawn, on software devices: the driver's way to clear workgroup memory. SwiftShader compiles it to a store per
 * element, which makes a kernel with 9 KB of it compile in 1.9 s; with the loop that Dawn writes otherwise it takes 0.2 s.
 */
const DISABLED_FOR_SOFTWARE = ["use_vulkan_zero_initialize_workgroup_memory_extension"];

/** Flags for this process alone, split at spaces. */
const OWN_FLAGS = (process.env["SLUICE_DAWN_FLAGS"] ?? "").split(" ").filter((flag) => flag !== "");

/** No adapter has this name: Dawn refuses it with a list of the adapters. */
const NO_NAME = "sluice-lists-adapters";

interface Dawn {
  create(flags: string[]): GPU;
  readonly globals: Readonly<Record<string, unknown>>;
}

/** An adapter as Dawn lists it. */
export interface ListedAdapter {
  readonly name: string;
  readonly backend: string;
}

/**
 * What `create` returned, by driver files and adapter name. They are kept for the life of the process: if one is
 * collected before an adapter or device made through it, the process crashes, even when the device has been destroyed
 * (webgpu 0.6.2). They do not keep the process alive, and there is at most one per choice of adapter.
 */
const instances = new Map<string, GPU>();

/**
 * The adapters that these drivers offer, in Dawn's order, each name once.
 * @param files Vulkan driver files; null for what the system offers by itself (Metal, Direct3D)
 * @throws SluiceError `no_adapter` if Dawn is not installed or does not load
 */
export async function listNames(files: readonly string[] | null): Promise<readonly ListedAdapter[]> {
  let refusal: string;
  try {
    await request(files, NO_NAME, false);
    // Without any adapter Dawn does not refuse but returns null.
    return [];
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    refusal = error instanceof Error ? error.message : String(error);
  }
  const listed = new Map<string, ListedAdapter>();
  for (const [, backend = "", name = ""] of refusal.matchAll(/backend: '([^']*)', name: '(.*)'$/gm)) {
    if (!listed.has(name)) listed.set(name, { name, backend });
  }
  return [...listed.values()];
}

/**
 * An adapter, ready for one device.
 * @param name from {@link listNames}; null for the one that Dawn considers fastest
 * @param software whether it is sure to compute on the CPU
 * @throws SluiceError `no_adapter` if Dawn is not installed or does not load
 */
export function requestNamed(
  files: readonly string[] | null,
  name: string | null,
  software: boolean,
): Promise<GPUAdapter | null> {
  return request(files, name, software);
}

/** Whether an adapter is the one that Dawn lists by this name: infos spell names more plainly. */
export function isNamed(info: GPUAdapterInfo, name: string): boolean {
  return info.device === name.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

async function request(
  files: readonly string[] | null,
  name: string | null,
  software: boolean,
): Promise<GPUAdapter | null> {
  const dawn = await importDawn();
  const key = JSON.stringify([files, name, software]);
  let gpu = instances.get(key);
  if (!gpu) {
    const disabled = [...DISABLED, ...(software ? DISABLED_FOR_SOFTWARE : [])];
    const flags = [`disable-dawn-features=${disabled.join(",")}`, ...OWN_FLAGS];
    gpu = dawn.create(name === null ? flags : [...flags, `adapter=${name}`]);
    instances.set(key, gpu);
  }
  const instance = gpu;
  return withDriverFiles(files, () => instance.requestAdapter({ powerPreference: "high-performance" }));
}

async function importDawn(): Promise<Dawn> {
  let dawn: Dawn;
  try {
    dawn = (await import("webgpu")) as unknown as Dawn;
  } catch (cause) {
    const absent = (cause as NodeJS.ErrnoException | undefined)?.code === "ERR_MODULE_NOT_FOUND";
    const why = absent ? "the package webgpu is not installed" : `the package webgpu does not load: ${String(cause)}`;
    throw new SluiceError("no_adapter", `Node has no WebGPU of its own, and ${why}`, {
      hint: `Run \`${INSTALL_COMMAND}\`.`,
      cause,
    });
  }
  // WebGPU code expects GPUBufferUsage and the like as globals, as in pages.
  for (const [name, value] of Object.entries(dawn.globals)) {
    if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  return dawn;
}
