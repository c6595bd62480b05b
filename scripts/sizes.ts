/**
 * The package's sizes for its users, compared with earlier ones: sizes.json.
 *
 *   npm run sizes             prints
 *   npm run sizes -- --keep   writes the sizes as those that later ones are held to
 */
import { cp, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { type Installed, installPacked, root } from "./packed.ts";

/** Bytes by what they are of. */
export type Sizes = Readonly<Record<string, number>>;

/** Growth of any size by more than this factor is a fault, unless it is kept on purpose. */
export const GROWTH = 1.25;

const kept = join(root, "scripts/sizes.json");

/** The sizes that were kept last. */
export async function lastSizes(): Promise<Sizes> {
  return JSON.parse(await readFile(kept, "utf8")) as Sizes;
}

/** @param page folder of a page that loads a model and generates, as Vite built it */
export async function measureSizes({ folder, tarball }: Installed, page: string): Promise<Sizes> {
  const modules = join(folder, "node_modules");
  const dawn = await bytesBelow(join(modules, "webgpu"));
  // The browser is there for its software GPU, and is not part of the package.
  const tree = (await bytesBelow(modules)) - (await bytesBelow(join(modules, "@sparticuz")));
  const first = await firstLoad(page);
  const script = await readFile(join(modules, "sluice/dist/sluice.min.js"));
  return {
    tarball: (await stat(tarball)).size,
    "installed, for Node": tree,
    "installed, without Dawn": tree - dawn,
    "page's first load, minified": first.raw,
    "page's first load, gzip": first.gzip,
    "sluice.min.js": script.length,
    "sluice.min.js, gzip": gzipSync(script).length,
  };
}

/** A line per size, with what it was. */
export function sizeTable(sizes: Sizes, last: Sizes): string {
  const kilobytes = (bytes: number | undefined) => (bytes === undefined ? "–" : (bytes / 1000).toFixed(1)).padStart(11);
  const rows = Object.entries(sizes).map(
    ([name, bytes]) => `${name.padEnd(28)}${kilobytes(bytes)}${kilobytes(last[name])}`,
  );
  return [`${"kB".padEnd(28)}${"now".padStart(11)}${"last".padStart(11)}`, ...rows].join("\n");
}

/** What has grown by more than {@link GROWTH}, each as a sentence. */
export function grown(sizes: Sizes, last: Sizes): string[] {
  return Object.entries(sizes)
    .filter(([name, bytes]) => bytes > (last[name] ?? 0) * GROWTH)
    .map(([name, bytes]) => `${name}: ${bytes} bytes, ${last[name] ?? "not measured"} before`);
}

/** What a browser fetches before the page runs: the scripts that index.html names. */
async function firstLoad(page: string): Promise<{ raw: number; gzip: number }> {
  const html = await readFile(join(page, "index.html"), "utf8");
  const names = new Set([...html.matchAll(/(?:src|href)="\/?([^"]+\.js)"/g)].map(([, name = ""]) => name));
  if (names.size === 0) throw new Error(`${page}/index.html names no script`);
  const scripts = await Promise.all([...names].map((name) => readFile(join(page, name))));
  return {
    raw: scripts.reduce((sum, script) => sum + script.length, 0),
    gzip: scripts.reduce((sum, script) => sum + gzipSync(script).length, 0),
  };
}

async function bytesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function main(): Promise<void> {
  const installed = await installPacked();
  await cp(join(root, "test/package/app"), installed.folder, { recursive: true });
  const { build } = await import("vite");
  await build({ root: installed.folder, logLevel: "error" });
  const sizes = await measureSizes(installed, join(installed.folder, "dist"));
  console.log(sizeTable(sizes, await lastSizes()));
  if (process.argv.includes("--keep")) await writeFile(kept, `${JSON.stringify(sizes, null, 2)}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
