/** Programs of this folder as one file each: a process of TypeScript's loader takes a second to start. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const webgpu = fileURLToPath(import.meta.resolve("webgpu"));
const built = new Map<string, string>();
let folder: string | undefined;

/**
 * @returns the path of a file that Node runs, which is removed when this process ends
 */
export function oneFile(source: URL): string {
  const known = built.get(source.href);
  if (known !== undefined) return known;
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), "sluice-one-file-"));
    process.on("exit", () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  const path = join(folder, `${built.size}.mjs`);
  buildSync({
    entryPoints: [fileURLToPath(source)],
    outfile: path,
    ...{ bundle: true, platform: "node", format: "esm", target: "node20", logLevel: "warning" },
    // Native code stays where it is; what is not needed is not looked for.
    alias: { webgpu },
    external: [webgpu, "@sparticuz/chromium", "vite", "playwright-core", "bullmq", "ioredis"],
    define: { "import.meta.url": JSON.stringify(source.href) },
  });
  built.set(source.href, path);
  return path;
}
