/**
 * The software GPU that the npm package @sparticuz/chromium carries: SwiftShader, with a Vulkan loader and the file
 * that describes the driver to it. They are unpacked into a cache folder, once per version of the package.
 */
import { createHash, randomBytes } from "node:crypto";
import { lstat, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir, tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";
import { SluiceError } from "../errors.ts";
import { readTar } from "./tar.ts";

/** The package that carries the driver. */
export interface Carrier {
  readonly version: string;
  /** Path of the archive in the package. */
  readonly archive: string;
}

/** The driver's files, in the cache. */
export interface SoftwareDriver {
  /** Describes the driver to a Vulkan loader. */
  readonly icd: string;
  readonly library: string;
  /** For systems without a Vulkan loader. */
  readonly loader: string;
}

/** The files used from the archive: the rest is OpenGL, which Dawn does not need. */
const files = ["vk_swiftshader_icd.json", "libvk_swiftshader.so", "libvulkan.so.1"] as const;

/** Written with the files: the hash of each. */
const manifestName = "sha256.json";

/** The installed package; null if it is not installed. */
export async function findCarrier(): Promise<Carrier | null> {
  let entry: string;
  const require = createRequire(import.meta.url);
  try {
    entry = require.resolve("@sparticuz/chromium");
  } catch (error) {
    if (codeOf(error) === "MODULE_NOT_FOUND") return null;
    throw error;
  }
  const folder = join(dirname(entry), "../..");
  const { version } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as { version: string };
  return { version, archive: join(folder, "bin/swiftshader.tar.br") };
}

/**
 * Folders that may hold the cache, best first: $XDG_CACHE_HOME/sluice, ~/.cache/sluice, and one under the system's
 * temporary folder. Empty and relative values of XDG variables count as unset, as their specification says.
 */
export function cacheFolders(env: NodeJS.ProcessEnv = process.env): readonly string[] {
  const xdg = env.XDG_CACHE_HOME;
  const home = env.HOME ?? homeOfUser();
  return [
    ...(xdg && isAbsolute(xdg) ? [join(xdg, "sluice")] : []),
    ...(home && isAbsolute(home) ? [join(home, ".cache/sluice")] : []),
    join(tmpdir(), `sluice-${process.getuid?.() ?? "user"}`),
  ];
}

/** The driver if an earlier run has unpacked it completely; otherwise null. */
export async function findUnpacked(carrier: Carrier): Promise<SoftwareDriver | null> {
  for (const cache of cacheFolders()) {
    const folder = join(cache, folderName(carrier));
    if ((await isPrivate(cache)) && (await isWhole(folder))) return driverIn(folder);
  }
  return null;
}

/**
 * The driver, unpacked unless an earlier run has done so. Several processes may do this at once.
 * @throws SluiceError `bad_file` for a damaged archive; `no_adapter` if no cache folder can be written
 */
export async function unpackDriver(carrier: Carrier): Promise<SoftwareDriver> {
  let contents: ReadonlyMap<string, Uint8Array> | undefined;
  const problems: string[] = [];
  for (const cache of cacheFolders()) {
    const folder = join(cache, folderName(carrier));
    if ((await isPrivate(cache)) && (await isWhole(folder))) return driverIn(folder);
    contents ??= await readArchive(carrier.archive);
    try {
      await mkdir(cache, { recursive: true, mode: 0o700 });
      if (!(await isPrivate(cache))) throw new Error("another user owns it or can write to it");
      await place(contents, folder);
      return driverIn(folder);
    } catch (error) {
      problems.push(`${cache}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new SluiceError("no_adapter", `The software GPU could not be unpacked into any of ${problems.join("; ")}`, {
    hint: "Set XDG_CACHE_HOME to a folder that can be written.",
  });
}

async function readArchive(archive: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const again = { hint: "Install it again: npm install @sparticuz/chromium" };
  let bytes: Uint8Array;
  try {
    bytes = await promisify(brotliDecompress)(await readFile(archive));
  } catch (cause) {
    throw new SluiceError("bad_file", `${archive} cannot be unpacked: ${String(cause)}`, { ...again, cause });
  }
  const members = readTar(bytes, archive);
  for (const file of files) {
    if (!members.has(file)) throw new SluiceError("bad_file", `${archive} has no ${file}`, again);
  }
  return members;
}

/** Writes the files next to their place and then moves them there, so that no process sees half a driver. */
async function place(contents: ReadonlyMap<string, Uint8Array>, folder: string): Promise<void> {
  const fresh = `${folder}.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    await mkdir(fresh);
    const hashes: Record<string, string> = {};
    for (const file of files) {
      const bytes = contents.get(file) as Uint8Array;
      hashes[file] = hashOf(bytes);
      await writeFile(join(fresh, file), bytes, { mode: 0o755 });
    }
    await writeFile(join(fresh, manifestName), JSON.stringify(hashes));
    await moveInto(fresh, folder);
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Moves `fresh` to `folder`, after moving a damaged copy out of the way; an intact copy by another process stays. */
async function moveInto(fresh: string, folder: string): Promise<void> {
  const aside = `${fresh}.damaged`;
  for (let attempt = 0; ; attempt++) {
    try {
      return await rename(fresh, folder);
    } catch (error) {
      if (await isWhole(folder)) return;
      if (attempt === 3 || !["ENOTEMPTY", "EEXIST", "ENOTDIR", "EPERM"].includes(codeOf(error) ?? "")) throw error;
    }
    try {
      await rename(folder, aside);
      await rm(aside, { recursive: true, force: true });
    } catch (error) {
      // Another process has moved it out of the way first.
      if (codeOf(error) !== "ENOENT") throw error;
    }
  }
}

/** Whether all files exist unchanged. It takes about 10 ms, which code loaded into the process is worth. */
async function isWhole(folder: string): Promise<boolean> {
  try {
    const hashes = JSON.parse(await readFile(join(folder, manifestName), "utf8")) as Record<string, string>;
    for (const file of files) {
      if (hashOf(await readFile(join(folder, file))) !== hashes[file]) return false;
    }
    return true;
  } catch {
    // What cannot be read or parsed is not intact; if unpacking again fails too, that error says why.
    return false;
  }
}

/**
 * Whether libraries may be loaded from a folder: not from one that another user can write to. The name of the one
 * under the temporary folder can be guessed, so another user may have made it.
 */
export async function isPrivate(cache: string): Promise<boolean> {
  const uid = process.getuid?.();
  if (uid === undefined || !cache.startsWith(tmpdir())) return true;
  try {
    const folder = await lstat(cache);
    return folder.isDirectory() && folder.uid === uid && (folder.mode & 0o022) === 0;
  } catch {
    // It does not exist or cannot be inspected: nothing is loaded from it.
    return false;
  }
}

function driverIn(folder: string): SoftwareDriver {
  const [icd, library, loader] = files.map((file) => join(folder, file)) as [string, string, string];
  return { icd, library, loader };
}

function folderName({ version }: Carrier): string {
  return `swiftshader-${version}`;
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function homeOfUser(): string | undefined {
  try {
    return homedir();
  } catch {
    // Users without an entry in the system's list, as in containers, have no home.
    return undefined;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}
