/** The small models and the bundles of the shelf, beside the site: copied when it is built, read in place when served. */
import { cp, readFile, stat } from "node:fs/promises";
import { extname, join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

const root = fileURLToPath(new URL("../..", import.meta.url));
const types: Readonly<Record<string, string>> = { ".json": "application/json" };

/** Files that only the engine's tests read are not part of a model. */
const isNeeded = (path: string) => !/expected[^/]*$|\.md$|\.cache/.test(path);

/** weights/ as models/. */
export const models = (): Plugin => folder("models", join(root, "weights"));

/** playground/shelf/ as shelf/. */
export const shelf = (): Plugin => folder("shelf", join(root, "playground/shelf"));

function folder(name: string, source: string): Plugin {
  let out = "";
  return {
    name: `sluice ${name}`,
    configResolved({ build }) {
      out = build.outDir;
    },
    configureServer({ middlewares }) {
      middlewares.use(`/${name}/`, async (request, response, next) => {
        const file = normalize(join(source, decodeURIComponent((request.url ?? "").replace(/\?.*$/, ""))));
        const found = file.startsWith(source + sep) ? await stat(file).catch(() => undefined) : undefined;
        if (!found?.isFile()) return next();
        response.setHeader("content-type", types[extname(file)] ?? "application/octet-stream");
        response.end(await readFile(file));
      });
    },
    async writeBundle() {
      await cp(source, join(out, name), { recursive: true, filter: isNeeded });
    },
  };
}
