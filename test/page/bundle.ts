/** Bundles TypeScript for a page under test, in memory. */
import { existsSync } from "node:fs";
import { SourceMap, type SourceMapPayload } from "node:module";
import { basename, join, relative, sep } from "node:path";
import { build, type Plugin } from "esbuild";
import pageFacesOfEngine from "../../scripts/page-faces.json" with { type: "json" };
import { root } from "../run-files.ts";

const engineFaces = new Map(
  Object.entries(pageFacesOfEngine).map(([node, page]) => [join(root, node), join(root, page)]),
);

export interface Bundle {
  /** The script to start with. */
  readonly entry: string;
  /** Contents by URL path. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Puts positions in the sources in place of positions in the bundle, as in the stack of an error. */
  readable(text: string): string;
}

/** A module of the engine that is for Node, or a support module that works differently in a page, has a second face. */
const pageFaces: Plugin = {
  name: "page-faces",
  setup({ onResolve }) {
    onResolve({ filter: /^\..*\.ts$/ }, ({ path, resolveDir }) => {
      const engine = engineFaces.get(join(resolveDir, path));
      if (engine !== undefined) return { path: engine };
      const name = relative(join(root, "test/support"), join(resolveDir, path));
      const face = join(root, "test/page/support", name);
      return !name.startsWith("..") && existsSync(face) ? { path: face } : undefined;
    });
  },
};

const bundles = new Map<string, Promise<Bundle>>();

/** Bundles a module given as text, whose relative imports start at the top of the repository; once per process. */
export function bundleForPage(script: string): Promise<Bundle> {
  const made = bundles.get(script) ?? bundle(script);
  bundles.set(script, made);
  return made;
}

async function bundle(script: string): Promise<Bundle> {
  const { outputFiles } = await build({
    absWorkingDir: root,
    // The engine's worker looks for its script beside the page's.
    entryPoints: { entry: "src/worker/entry.ts" },
    stdin: { contents: script, resolveDir: root, sourcefile: "page.ts", loader: "ts" },
    outdir: join(root, "bundle"),
    entryNames: "[name]",
    write: false,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    sourcemap: "external",
    logLevel: "silent",
    plugins: [pageFaces],
  });
  const files = new Map<string, Uint8Array>();
  const maps = new Map<string, SourceMap>();
  for (const { path, contents, text } of outputFiles) {
    if (path.endsWith(".map")) maps.set(basename(path, ".map"), new SourceMap(JSON.parse(text) as SourceMapPayload));
    else files.set(`/bundle/${basename(path)}`, contents);
  }
  const readable = (text: string) =>
    text.replace(/https?:\/\/[^\s()]*\/bundle\/([\w.-]+\.js):(\d+):(\d+)/g, (whole, file: string, line, column) => {
      const entry = maps.get(file)?.findEntry(Number(line) - 1, Number(column) - 1);
      if (!entry || !("originalSource" in entry)) return whole;
      const source = relative(root, join(root, "bundle", entry.originalSource))
        .split(sep)
        .join("/");
      return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
    });
  // What esbuild calls a module given as text.
  return { entry: "/bundle/stdin.js", files, readable };
}
