/**
 * The software GPU that the npm package @sparticuz/chromium carries: SwiftShader, with a Vulkan loader and the file
 * that describes the driver. It is unpacked once into a cache folder.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir, tmpdir } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";
import { SluiceError } from "../errors.ts";

export interface SoftwareDriver {
  /** The driver's description, for VK_DRIVER_FILES. */
  readonly icd: string;
  /** A Vulkan loader, for systems without one. */
  readonly loader: string;
}

/** What of the archive is used. */
const FILES = ["vk_swiftshader_icd.json", "libvk_swiftshader.so", "libvulkan.so.1"] as const;

/** The package that carries the driver, or null where it is not installed. */
export function findCarrier(): { readonly archive: string; readonly version: string } | null {
  const require = createRequire(import.meta.url);
  try {
    const folder = join(dirname(require.resolve("@sparticuz/chromium")), "../..");
    const { version } = require(join(folder, "package.json")) as { version: string };
    return { archive: join(folder, "bin/swiftshader.tar.br"), version };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    return null;
  }
}

/**
 * Folders that may hold the cache, best first: $XDG_CACHE_HOME/sluice, ~/.cache/sluice, a temporary folder. The XDG
 * specification has empty and relative values count as unset.
 */
export function cacheFolders(env: NodeJS.ProcessEnv = process.env): readonly string[] {
  const folders = [join(tmpdir(), `sluice-${process.getuid?.() ?? "user"}`)];
  const home = env.HOME === "" ? undefined : (env.HOME ?? homedir());
  if (home && isAbsolute(home)) folders.unshift(join(home, ".cache/sluice"));
  const xdg = env.XDG_CACHE_HOME;
  if (xdg && isAbsolute(xdg)) folders.unshift(join(xdg, "sluice"));
  return folders;
}

/**
 * The driver's files, unpacked where need be.
 * @throws SluiceError `no_adapter` where no cache folder can be written
 */
export async function unpackDriver(carrier: {
  readonly archive: string;
  readonly version: string;
}): Promise<SoftwareDriver> {
  const { size } = await stat(carrier.archive);
  // The archive's size in the name keeps a rebuilt package of the same version apart.
  const name = `swiftshader-${carrier.version}-${size}`;
  const problems: string[] = [];
  for (const cache of cacheFolders()) {
    const folder = join(cache, name);
    try {
      if (!(await isComplete(folder))) await unpack(carrier.archive, cache, folder);
      return { icd: join(folder, FILES[0]), loader: join(folder, FILES[2]) };
    } catch (error) {
      problems.push(`${cache}: ${(error as Error).message}`);
    }
  }
  throw new SluiceError("no_adapter", `The software GPU could not be unpacked: ${problems.join("; ")}`, {
    hint: "Set XDG_CACHE_HOME to a folder that can be written.",
  });
}

/** A marker, written last, lists the files' sizes: what was cut short or changed since does not match it. */
async function isComplete(folder: string): Promise<boolean> {
  const marker = join(folder, "complete.json");
  if (!existsSync(marker)) return false;
  const sizes = JSON.parse(await readFile(marker, "utf8")) as Record<string, number>;
  for (const file of FILES) {
    const path = join(folder, file);
    if (!existsSync(path) || (await stat(path)).size !== sizes[file]) return false;
  }
  return true;
}

/** Unpacks beside the destination and renames, so that processes starting together never see half a driver. */
async function unpack(archive: string, cache: string, folder: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const fresh = `${folder}.${process.pid}.${Date.now()}`;
  try {
    await mkdir(fresh);
    const members = readTar(await promisify(brotliDecompress)(await readFile(archive)));
    const sizes: Record<string, number> = {};
    for (const file of FILES) {
      const contents = members.get(file);
      if (!contents)
        throw new SluiceError("bad_file", `${archive} holds no ${file}`, {
          hint: "Install @sparticuz/chromium again.",
        });
      await writeFile(join(fresh, file), contents, { mode: 0o755 });
      sizes[file] = contents.byteLength;
    }
    await writeFile(join(fresh, "complete.json"), JSON.stringify(sizes));
    // What stands there is damaged, or another process has just finished: it makes no difference which one stays.
    await rm(folder, { recursive: true, force: true });
    await rename(fresh, folder);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (await isComplete(folder)) return;
    throw error;
  }
}

/** Regular files of a tar archive by name (POSIX ustar: 512-byte headers, octal sizes). */
function readTar(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const text = new TextDecoder();
  const members = new Map<string, Uint8Array>();
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0; ) {
    const field = (offset: number, length: number) =>
      text.decode(bytes.subarray(at + offset, at + offset + length)).replace(/\0.*$/s, "");
    const size = Number.parseInt(field(124, 12), 8);
    const name = field(0, 100).replace(/^\.\//, "");
    members.set(name, bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return members;
}
