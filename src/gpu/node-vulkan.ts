/** Vulkan on this machine: the drivers' files, and the loader that finds them for Dawn. */
import { readdirSync, statSync } from "node:fs";
import { constants, homedir } from "node:os";
import { delimiter, join } from "node:path";

/** Driver files, and how they were found. */
export interface DriverFiles {
  /** Paths of the JSON files that describe drivers; empty if there are none. */
  readonly files: readonly string[];
  /** Where they were found or searched for, for messages. */
  readonly origin: string;
}

/**
 * The drivers of this system: those that VK_DRIVER_FILES or its older name VK_ICD_FILENAMES lists, else all JSON files
 * in the folders that the Vulkan loader searches on Linux. https://github.com/KhronosGroup/Vulkan-Loader, "Driver
 * Discovery on Linux"
 */
export function findDriverFiles(env: NodeJS.ProcessEnv = process.env): DriverFiles {
  for (const variable of ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]) {
    const files = listOf(env[variable]).flatMap((path) => (isFolder(path) ? driverFilesIn(path) : [path]));
    if (files.length > 0) return { files: files.filter(isFile), origin: `${variable}=${env[variable]}` };
  }
  const folders = driverFolders(env);
  const files = [...listOf(env.VK_ADD_DRIVER_FILES).filter(isFile), ...folders.flatMap(driverFilesIn)];
  return { files, origin: files.length > 0 ? files.join(", ") : folders.join(", ") };
}

function driverFolders(env: NodeJS.ProcessEnv): readonly string[] {
  const home = env.HOME ?? homedir();
  const inHome = (variable: string, fallback: string) => env[variable] || (home ? join(home, fallback) : "");
  const bases = [
    inHome("XDG_CONFIG_HOME", ".config"),
    ...listOf(env.XDG_CONFIG_DIRS || "/etc/xdg"),
    "/usr/local/etc",
    "/etc",
    inHome("XDG_DATA_HOME", ".local/share"),
    ...listOf(env.XDG_DATA_DIRS || "/usr/local/share:/usr/share"),
    // The folders of NixOS, and those where container runtimes mount the host's drivers.
    "/run/opengl-driver/share",
    "/usr/local/nvidia/share",
  ];
  return [...new Set(bases.filter((base) => base !== "").map((base) => join(base, "vulkan/icd.d")))];
}

/**
 * Calls `use` while the environment names these drivers, then restores it. Dawn reads it within the first
 * `requestAdapter` of each object that `create` returns; a browser started later must not inherit it, because it would
 * find no adapter.
 */
export function withDriverFiles<T>(files: readonly string[] | null, use: () => T): T {
  if (!files) return use();
  // Loaders before 1.3.207 know the second name only.
  const variables = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
  const saved = variables.map((variable) => process.env[variable]);
  for (const variable of variables) process.env[variable] = files.join(delimiter);
  try {
    return use();
  } finally {
    variables.forEach((variable, i) => {
      const value = saved[i];
      if (value === undefined) delete process.env[variable];
      else process.env[variable] = value;
    });
  }
}

/** Whether the system has a Vulkan loader, or one has been loaded already. */
export function hasVulkanLoader(): boolean {
  return loadError("libvulkan.so.1", constants.dlopen.RTLD_LAZY) === null;
}

/**
 * Loads a Vulkan loader into the process for good. Dawn opens `libvulkan.so.1` by that name and finds the one in the
 * process already.
 * @returns why it cannot be loaded, or null
 */
export function loadVulkanLoader(path: string): string | null {
  const RTLD_NODELETE = 0x1000; // Linux, glibc and musl; not in os.constants.
  const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
  return loadError(path, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
}

/**
 * Tries to load a shared library.
 * @returns the system loader's objection, or null
 */
export function loadError(path: string, flags: number = constants.dlopen.RTLD_LAZY): string | null {
  try {
    process.dlopen({ exports: {} } as NodeModule, path, flags);
    return null;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // That the library is not an add-on is what Node and Bun report after the system has loaded it.
    return /did not self-register|napi_register_module/.test(message) ? null : message;
  }
}

function driverFilesIn(folder: string): readonly string[] {
  if (!isFolder(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => join(folder, name));
}

function listOf(value: string | undefined): readonly string[] {
  return (value ?? "").split(delimiter).filter((part) => part !== "");
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
