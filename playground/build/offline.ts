/** Tells the service worker which files make up the site, so that it can keep them all. */
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Plugin } from "vite";

/** Files that are not made by the bundler. */
const besides = ["./", "manifest.webmanifest", "icon.svg", "shelf/shelf.json", "shelf/recorded.json"];

export function offline(): Plugin {
  let out = "";
  return {
    name: "sluice offline",
    apply: "build",
    enforce: "post",
    configResolved({ build }) {
      out = build.outDir;
    },
    // What is written at last: until then, others drop files that turn out empty.
    async writeBundle(_, bundle) {
      const made = Object.values(bundle).filter(({ fileName }) => fileName !== "sw.js" && !fileName.endsWith(".map"));
      const digest = createHash("sha256");
      for (const file of made) digest.update(file.fileName).update(file.type === "chunk" ? file.code : file.source);
      const files = [...besides, ...made.map(({ fileName }) => fileName)];
      const path = join(out, "sw.js");
      const code = (await readFile(path, "utf8"))
        .replaceAll("__SITE_FILES__", JSON.stringify(files))
        .replaceAll("__SITE_VERSION__", JSON.stringify(digest.digest("hex").slice(0, 12)));
      await writeFile(path, code);
    },
  };
}
