// One Vite root for the three pages. From the repository:
//
//   npx vite examples
//
// and open /page/, /worker/ or /fit/. Sluice needs no plugin.
import { fileURLToPath } from "node:url";

const at = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/** @type {import("vite").UserConfig} */
export default {
  // Models are static files: weights/stories260K is served as /stories260K/.
  publicDir: at("../weights"),
  worker: { format: "es" },
  build: {
    target: "es2022",
    rollupOptions: { input: ["page/index.html", "worker/index.html", "fit/index.html"].map(at) },
  },
};
