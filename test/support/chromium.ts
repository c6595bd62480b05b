/**
 * The Chromium that tests open pages in: the one `@sparticuz/chromium` carries, with its SwiftShader as the GPU.
 * It needs nothing of the system but glibc: NSS, its fonts and the Vulkan driver are in the package.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, realpath, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Browser, chromium } from "playwright-core";

const root = fileURLToPath(new URL("../..", import.meta.url));

/**
 * Dawn's flag to leave out the checks that it compiles into every access of a buffer. Kernels then compile and run in two
 * thirds of the time on a software device. The packed package and its examples are tested with the checks, as users run
 * them, and test/engine/same-bits.test.ts shows that they change no bit of what is computed.
 */
export const UNCHECKED = "enable-dawn-features=disable_robustness";

/** Starts a headless browser that offers WebGPU on SwiftShader. The caller closes it. @param flags of Chromium, more */
export async function openChromium(flags: readonly string[] = []): Promise<Browser> {
  // By its own name: several checkouts may share an installation.
  const folder = await realpath(await unpackChromium());
  return chromium.launch({
    executablePath: join(folder, "chromium"),
    args: [
      "--enable-unsafe-webgpu",
      "--use-webgpu-adapter=swiftshader",
      // As src/gpu/node-dawn.ts does, which says why: kernels with workgroup memory compile up to ten times faster.
      "--disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension",
      // Chromium refuses its sandbox to root, which is who runs things in containers.
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
      // Containers often have a /dev/shm of 64 MB, too small for a renderer.
      "--disable-dev-shm-usage",
      ...flags,
    ],
    // Nothing is inherited but these: with VK_DRIVER_FILES set, as Node's tests do, Chromium finds no adapter.
    env: {
      PATH: process.env.PATH ?? "",
      HOME: folder,
      LD_LIBRARY_PATH: join(folder, "al2023/lib"),
      FONTCONFIG_PATH: await nameFonts(folder),
    },
  });
}

let shared: Promise<Browser> | undefined;

/** One for all who ask for it in this process, without the checks of bounds. It ends with the process. */
export function sharedChromium(): Promise<Browser> {
  shared ??= openChromium([`--${UNCHECKED}`]);
  return shared;
}

/**
 * Tells the browser where fonts are, its own and the system's: it looks for them at the place where the package's own
 * function unpacks them. Without a font it ends where it meets a text field.
 * @returns the folder of fontconfig's configuration
 */
async function nameFonts(folder: string): Promise<string> {
  const path = join(folder, "fontconfig");
  if (existsSync(path)) return path;
  const fresh = `${path}.${process.pid}`;
  await mkdir(fresh, { recursive: true });
  const fonts = `<dir>${join(folder, "fonts")}</dir><dir>/usr/share/fonts</dir>`;
  const places = `${fonts}<cachedir>${join(path, "cache")}</cachedir>`;
  const head = '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">';
  await writeFile(join(fresh, "fonts.conf"), `${head}<fontconfig>${places}</fontconfig>\n`);
  await takePlace(fresh, path);
  return path;
}

/** Renames a complete folder to where others look for it. */
async function takePlace(fresh: string, path: string): Promise<void> {
  try {
    await rename(fresh, path);
  } catch (error) {
    // Another process was first; its copy is as good.
    if (!existsSync(path)) throw error;
    await rm(fresh, { recursive: true });
  }
}

/**
 * Unpacks the browser once per installed version, into node_modules/.cache, and returns the folder. The package's own
 * function unpacks straight into the temporary folder and takes a half-written file there for a whole one; here it
 * works in a folder of its own, in a process of its own since it reads its surroundings from the environment, and the
 * folder is renamed when complete.
 */
async function unpackChromium(): Promise<string> {
  const require = createRequire(import.meta.url);
  const entry = require.resolve("@sparticuz/chromium");
  const { version } = require(join(dirname(entry), "../../package.json")) as { version: string };
  const folder = join(root, "node_modules/.cache/sluice-test", `chromium-${version}`);
  if (existsSync(folder)) return folder;

  const fresh = `${folder}.${process.pid}`;
  await mkdir(fresh, { recursive: true });
  await promisify(execFile)(
    process.execPath,
    ["--input-type=module", "-e", `(await import("@sparticuz/chromium")).default.executablePath()`],
    // Naming this Lambda runtime makes the package unpack the shared libraries too.
    { cwd: root, env: { ...process.env, TMPDIR: fresh, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs20.x" } },
  );
  await takePlace(fresh, folder);
  return folder;
}
