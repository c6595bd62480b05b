/** Builds and serves the playground. The engine comes from dist/, as the package's users get it. */
import { fileURLToPath } from "node:url";
import type { UserConfig } from "vite";
import { models, shelf } from "./build/files.ts";
import { offline } from "./build/offline.ts";

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default {
  root: at("."),
  // Relative addresses: the site works from any folder of any server.
  base: "./",
  publicDir: at("public"),
  resolve: {
    alias: [
      { find: /^sluice\/worker\/entry(?=\?|$)/, replacement: at("../dist/page/worker/entry.js") },
      { find: /^sluice\/worker$/, replacement: at("../dist/page/worker/index.js") },
      { find: /^sluice$/, replacement: at("../dist/page/index.js") },
    ],
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  worker: { format: "es" },
  plugins: [models(), shelf(), offline()],
  build: {
    outDir: at("dist"),
    emptyOutDir: true,
    target: "es2022",
    // The bounds of a page's first load are those of test/playground/basics.test.ts.
    chunkSizeWarningLimit: 4000,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: {
        index: at("index.html"),
        embed: at("embed.html"),
        "sluice-compare": at("src/sluice-compare.tsx"),
        sw: at("src/offline/service-worker.ts"),
      },
      preserveEntrySignatures: "allow-extension",
      output: {
        // Others name these two files.
        entryFileNames: ({ name }) =>
          ["sw", "sluice-compare"].includes(name) ? "[name].js" : "assets/[name]-[hash].js",
      },
    },
  },
} satisfies UserConfig;
