// Builds the package into dist/:
//
//   index.js, cli.js, chunks/   for Node and for bin/sluice.js; rarely needed parts are in separate chunks
//   page/                       for bundlers: a module per module of src/, so that a bundler takes what is used and
//                               keeps late imports in separate chunks
//   sluice.min.js               for <script type="module">: everything in one file, without any import
//   types/                      the declarations of the public interface
//
// Dependencies stay imports in all but the last, so that an application shares them; what is imported is checked
// against package.json, because a module that only a devDependency brings, or a Node builtin in a page, would fail
// first at the user's. There are no source maps: but for sluice.min.js the code is readable as it is, and maps would
// be three quarters of the package.
//
//   node scripts/build.mjs [--no-types]
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import "./embed-gpt2.mjs";
import "./embed-shaders.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const dist = join(root, "dist");
/** Modules for Node by their counterparts in a page. @type {Record<string, string>} */
const pageFaces = JSON.parse(readFileSync(join(root, "scripts/page-faces.json"), "utf8"));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
/** @type {{ code: Record<string, string> }} */
const bundled = JSON.parse(readFileSync(join(root, "scripts/bundled.json"), "utf8"));

/** @type {import("esbuild").BuildOptions} */
const common = {
  absWorkingDir: root,
  bundle: true,
  format: "esm",
  legalComments: "none",
  logLevel: "warning",
  metafile: true,
};
/** @type {import("esbuild").BuildOptions} */
const forNode = { ...common, platform: "node", target: "node20", packages: "external" };
/** @type {import("esbuild").BuildOptions} */
const forPages = { ...common, platform: "browser", target: "es2022" };

async function buildForNode() {
  const { metafile } = await build({
    ...forNode,
    entryPoints: { index: "src/index.ts", cli: "src/cli/main.ts" },
    outdir: dist,
    splitting: true,
    chunkNames: "chunks/[name]-[hash]",
  });
  checkImports(metafile, "node");
}

async function buildForBundlers() {
  const { metafile } = await build({
    ...forPages,
    entryPoints: modulesOfPages(),
    outbase: "src",
    outdir: join(dist, "page"),
    packages: "external",
    plugins: [shortShaders, separateModules],
  });
  checkImports(metafile, "page");
  for (const [file, { imports }] of Object.entries(metafile.outputs)) {
    const missing = imports.find(
      ({ path }) => path.startsWith(".") && !(join(dirname(file), path) in metafile.outputs),
    );
    if (missing) throw new Error(`${file} imports ${missing.path}, which is not built for pages`);
  }
}

async function buildForScripts() {
  const { metafile } = await build({
    ...forPages,
    entryPoints: { "sluice.min": "src/index.ts" },
    outdir: dist,
    minify: true,
    plugins: [shortShaders, swappedModules],
  });
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  if (imports.length > 0) throw new Error(`dist/sluice.min.js imports ${imports[0]?.path}`);
  // Whose code is copied here must be known: THIRD-PARTY.md has its licence.
  const copied = Object.keys(metafile.inputs).flatMap((file) => file.split("node_modules/").slice(1));
  const names = [...new Set(copied.map(packageName))].sort();
  const known = Object.keys(bundled.code).sort();
  if (names.join() !== known.join())
    throw new Error(
      `dist/sluice.min.js holds code of ${names.join(", ")}; scripts/bundled.json says ${known.join(", ")}`,
    );
}

/**
 * Names of the platform in the declarations. Each merges with the interface of TypeScript's DOM library, of
 * `@webgpu/types` or of `@types/node`; if an application has none of them, the name still exists, so that its
 * compiler needs no `skipLibCheck`.
 */
const globals = `${[
  ...[
    "AbortSignal",
    "Blob",
    "File",
    "URL",
    "ReadableStream<R = any>",
    "Worker",
    "MessagePort",
    "MessageEvent<T = any>",
  ],
  ...[
    "GPUAdapter",
    "GPUAdapterInfo",
    "GPUBindGroup",
    "GPUBindGroupLayout",
    "GPUBuffer",
    "GPUCommandBuffer",
    "GPUCommandEncoder",
  ],
  ...["GPUComputePassDescriptor", "GPUComputePassEncoder", "GPUComputePipeline", "GPUDevice", "GPUQueue"],
]
  .map((name) => `interface ${name} {}`)
  .join("\n")}\n`;

/** The modules of src/ that a page can load, index.ts and what it imports, with those of Node swapped for a page's. */
function modulesOfPages() {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" });
  return files
    .map((file) => `src/${file.split(sep).join("/")}`)
    .filter((file) => file.endsWith(".ts") && !file.startsWith("src/cli/") && !/\/node(?:-[^/]*)?\.ts$/.test(file))
    .filter((file) => !(file in pageFaces));
}

/** The module that an import means in a page. @param {string} path @param {string} resolveDir */
function inPage(path, resolveDir) {
  const meant = relative(root, join(resolveDir, path)).split(sep).join("/");
  return join(root, pageFaces[meant] ?? meant);
}

/** @type {import("esbuild").Plugin} */
const swappedModules = {
  name: "swapped modules",
  setup({ onResolve }) {
    onResolve({ filter: /^\..*\.ts$/ }, ({ path, resolveDir }) => ({ path: inPage(path, resolveDir) }));
  },
};

/**
 * Leaves imports between modules as they are, from `./b.ts` to `./b.js`, except modules that a page replaces.
 * Data (JSON) becomes part of the module that imports it.
 * @type {import("esbuild").Plugin}
 */
const separateModules = {
  name: "separate modules",
  setup({ onResolve }) {
    onResolve({ filter: /^\..*\.ts$/ }, ({ kind, path, resolveDir }) => {
      if (kind === "entry-point") return undefined;
      const found = relative(resolveDir, inPage(path, resolveDir)).split(sep).join("/").replace(/\.ts$/, ".js");
      return { path: found.startsWith(".") ? found : `./${found}`, external: true };
    });
  },
};

/**
 * Takes comments and indentation out of the shaders that pages load: half of their bytes. WGSL has no strings, so that
 * every `//` begins a comment.
 * @type {import("esbuild").Plugin}
 */
const shortShaders = {
  name: "short shaders",
  setup({ onLoad }) {
    onLoad({ filter: /shaders\.gen\.ts$/ }, ({ path }) => ({
      loader: "ts",
      contents: readFileSync(path, "utf8").replace(/^( {2}"[^"]+": )(".*"),$/gm, (_, key, text) => {
        const code = JSON.parse(text).replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "");
        return `${key}${JSON.stringify(code.replace(/[ \t]*\n\s*/g, "\n").trim())},`;
      }),
    }));
  },
};

/** @param {import("esbuild").Metafile} metafile @param {"node" | "page"} host */
function checkImports({ outputs }, host) {
  const published = { ...manifest.dependencies, ...manifest.optionalDependencies, ...manifest.peerDependencies };
  for (const [file, { imports }] of Object.entries(outputs)) {
    for (const { path } of imports.filter(({ path }) => !path.startsWith(".") && !(path in outputs))) {
      if (isBuiltin(path)) {
        if (host === "page") throw new Error(`${file} imports ${path}, which a page does not have`);
      } else if (!(packageName(path) in published)) {
        throw new Error(`${file} imports ${path}, but package.json does not list it for users of the package`);
      }
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
  const types = join(dist, "types");
  /** Where an application's compiler begins, and the way from there to the names of the platform. */
  const entries = /** @type {Record<string, string>} */ ({
    "index.d.ts": "./",
    "worker/index.d.ts": "../",
    "worker/entry.d.ts": "../",
  });
  for (const file of readdirSync(types, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".d.ts")) continue;
    const text = readFileSync(join(types, file), "utf8");
    // A subpath import such as #gpu-host means nothing in the published package: it maps to files under src/.
    const leak = /(?:from|import\()\s*"(#[^"]+)"/.exec(text);
    if (leak)
      throw new Error(`dist/types/${file} refers to ${leak[1]}; take the type from the module that declares it`);
    // Compilers of applications know declarations by the names of the modules they declare.
    const named = text
      .replace(/(from |import\()"(\.[^"]*)\.ts"/g, '$1"$2.js"')
      .replaceAll("GPUBufferUsageFlags", "number");
    const globalsFrom = entries[file.split(sep).join("/")];
    const head = globalsFrom === undefined ? "" : `/// <reference path="${globalsFrom}globals.d.ts" />\n`;
    writeFileSync(join(types, file), head + named);
  }
  writeFileSync(join(types, "globals.d.ts"), globals);
}

// Tests build without types: those of an earlier build stay, so that a checkout stays one that others can import.
const kept = process.argv.includes("--no-types") ? ["types"] : [];
mkdirSync(dist, { recursive: true });
for (const entry of readdirSync(dist)) {
  if (!kept.includes(entry)) rmSync(join(dist, entry), { recursive: true, force: true });
}
await Promise.all([buildForNode(), buildForBundlers(), buildForScripts()]);
if (!process.argv.includes("--no-types")) makeTypes();
