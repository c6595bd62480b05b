// Builds the package into dist/: index.js for Node, browser.js for bundlers, cli.js for bin/sluice.js, and the type
// declarations of the public interface. Dependencies stay imports, so that an application shares them and Vite or
// another bundler can split them; what is imported is checked against package.json, because a module that only a
// devDependency brings, or a Node builtin in the browser bundle, would fail first at the user's.
//
//   node scripts/build.mjs [--no-types]
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import "./embed-gpt2.mjs";
import "./embed-shaders.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(root, "dist");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** @type {readonly { out: string, entry: string, platform: "node" | "browser" }[]} */
const bundles = [
  { out: "index", entry: "src/index.ts", platform: "node" },
  { out: "browser", entry: "src/index.ts", platform: "browser" },
  { out: "cli", entry: "src/cli/main.ts", platform: "node" },
];

// Tests build without types: those of an earlier build stay, so that a checkout stays one that others can import.
const kept = process.argv.includes("--no-types") ? ["types"] : [];
mkdirSync(dist, { recursive: true });
for (const entry of readdirSync(dist)) {
  if (!kept.includes(entry)) rmSync(join(dist, entry), { recursive: true, force: true });
}
await Promise.all(bundles.map(makeBundle));
if (!process.argv.includes("--no-types")) makeTypes();

/** @param {(typeof bundles)[number]} bundle */
async function makeBundle({ out, entry, platform }) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: { [out]: entry },
    outdir: dist,
    bundle: true,
    format: "esm",
    platform,
    target: platform === "node" ? "node20" : "es2022",
    packages: "external",
    sourcemap: true,
    legalComments: "none",
    logLevel: "warning",
    metafile: true,
  });
  const published = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies };
  const imports = new Set(Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path)));
  for (const path of imports) {
    if (isBuiltin(path)) {
      if (platform === "browser") throw new Error(`dist/${out}.js imports ${path}, which a page does not have`);
    } else if (!(packageName(path) in published)) {
      throw new Error(`dist/${out}.js imports ${path}, but package.json does not list it for users of the package`);
    }
  }
}

/** `@scope/name/deep/path` → `@scope/name`. @param {string} path */
function packageName(path) {
  return path
    .split("/")
    .slice(0, path.startsWith("@") ? 2 : 1)
    .join("/");
}

function makeTypes() {
  const tsc = createRequire(import.meta.url).resolve("typescript/package.json");
  execFileSync(process.execPath, [join(dirname(tsc), "bin/tsc"), "-p", join(root, "scripts/tsconfig.build.json")], {
    stdio: "inherit",
  });
  // A subpath import such as #gpu-host means nothing in the published package: it maps to files under src/.
  const types = join(dist, "types");
  for (const file of readdirSync(types, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".d.ts")) continue;
    const leak = /(?:from|import\()\s*"(#[^"]+)"/.exec(readFileSync(join(types, file), "utf8"));
    if (leak)
      throw new Error(`dist/types/${file} refers to ${leak[1]}; take the type from the module that declares it`);
  }
}
