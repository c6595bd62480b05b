/** The package as its users get it: packed, and installed in a folder outside of the checkout. */
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdir, mkdtemp, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

export interface Installed {
  /** The folder of an application that depends on nothing but the package, and on the browser for its software GPU. */
  readonly folder: string;
  readonly tarball: string;
}

let installed: Promise<Installed> | undefined;

/** Packs what was built last and installs the result, once per process; it goes when the process ends. */
export function installPacked(): Promise<Installed> {
  installed ??= install();
  return installed;
}

/**
 * Runs a program to its end and returns its standard output; rejects with its output if it fails.
 * @param env what the program sees beside this process's own variables
 */
export async function output(
  file: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout } = await promisify(execFile)(file, args, {
    cwd,
    env: { ...process.env, ...env },
    maxBuffer: 1 << 26,
  });
  return stdout;
}

async function install(): Promise<Installed> {
  const parent = await mkdtemp(join(tmpdir(), "sluice-packed-"));
  process.once("exit", () => rmSync(parent, { recursive: true, force: true }));
  const folder = join(parent, "installed");
  await mkdir(folder);
  await writeFile(
    join(folder, "package.json"),
    JSON.stringify({ name: "an-application", private: true, type: "module" }),
  );
  // Without scripts: npm would build again, while tests run the build.
  const packed = await output("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", parent], root);
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  const tarball = join(parent, filename);
  await output("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", tarball], folder);
  // Only its software GPU is used, and the checkout has installed it: half of what would be written is this browser.
  const carrier = "node_modules/@sparticuz/chromium";
  await mkdir(join(folder, carrier, ".."));
  await symlink(join(root, carrier), join(folder, carrier), "junction");
  return { folder, tarball };
}
