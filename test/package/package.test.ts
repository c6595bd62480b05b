/**
 * The package as its users get it: packed, installed in an empty folder, and used from the command line, from Node,
 * from TypeScript and from a page that Vite built or serves.
 */
import { cp, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openProcess } from "../../scripts/one-process/open.ts";
import { installPacked, output, root } from "../../scripts/packed.ts";
import { grown, lastSizes, measureSizes, sizeTable } from "../../scripts/sizes.ts";
import { serve } from "../page/server.ts";
import { openChromium, sharedChromium, UNCHECKED } from "../support/chromium.ts";
import { readJson } from "../support/files.ts";

const NEW_TOKENS = 12;
const weights = join(root, "weights/stories260K");
const { greedy_ids } = await readJson<{ greedy_ids: number[] }>("weights/stories260K/expected_greedy.json");
const expected = greedy_ids.slice(1, 1 + NEW_TOKENS);

/** The folder of an application that depends on nothing but the package, and on the browser for its software GPU. */
let app = "";

/** Runs a program in the application's folder and returns its standard output. */
const run = (file: string, args: readonly string[], env = {}) => output(file, args, app, env);

/** Without the checks of bounds, which take as long to compile as the kernels: the command and one page have them. */
const unchecked = { SLUICE_DAWN_FLAGS: UNCHECKED };

test.before(async () => {
  app = (await installPacked()).folder;
  await cp(join(root, "test/package/app"), app, { recursive: true });
  await cp(weights, join(app, "public/weights"), { recursive: true });
});

test("the package holds what was built and nothing of the checkout", async () => {
  const files = await readdir(join(app, "node_modules/sluice"));
  assert.equal(files.filter((file) => !["LICENSE", "README.md"].includes(file)).sort(), [
    "SECURITY.md",
    "THIRD-PARTY.md",
    "bin",
    "dist",
    "docs",
    "llms.txt",
    "package.json",
  ]);
});

test("the sluice command generates", async () => {
  // As scripts of an application's package.json start it; npx takes a second to find the same program.
  assert.match(await run(join(app, "node_modules/.bin/sluice"), ["--help"]), /sluice generate/);
  const options = ["--tokens", "1", "--max-new-tokens", String(NEW_TOKENS), "--json"];
  const result = JSON.parse(await run("npx", ["sluice", "generate", weights, ...options])) as { tokens: number[] };
  assert.equal(result.tokens, expected);
});

test("a Node module generates", async () => {
  assert.equal(JSON.parse(await run(process.execPath, ["node.js", weights, String(NEW_TOKENS)], unchecked)), expected);
});

test("a page that Vite builds generates", async () => {
  const { build } = await import("vite");
  const built = await build({ root: app, logLevel: "error" });
  if (!("output" in built)) throw new Error("Vite built something else than one page");
  const chunks = built.output;
  const server = await serve({ folders: { "/": join(app, "dist") } });
  try {
    const scripts = new Map<string, number>();
    // As users run it: with the checks of bounds, which take as long to compile as the kernels.
    const browser = await openChromium();
    assert.equal(await tokensOfPage(browser, `${server.origin}/index.html`, scripts), expected);
    await browser.close();
    const bytes = [...scripts.values()].reduce((sum, size) => sum + size, 0);
    console.log(`a page that generates loads ${(bytes / 1000).toFixed(1)} kB of scripts in ${scripts.size} files`);
    const loaded = chunks.filter(({ fileName }) => [...scripts.keys()].some((name) => name.endsWith(fileName)));
    const modules = loaded.flatMap((chunk) => (chunk.type === "chunk" ? chunk.moduleIds : []));
    assert.ok(
      modules.some((path) => path.endsWith("/dist/page/model/load.js")),
      "the chunks that were loaded are found",
    );
    assert.equal(
      modules.filter((path) => /\/dist\/page\/(?:(?:attribution|evaluate|fit|profile)\/|tune\/tune\.js)/.test(path)),
      [],
    );
  } finally {
    await server.close();
  }
});

test("a page's first load, the package and what it installs do not grow unseen", async () => {
  const sizes = await measureSizes(await installPacked(), join(app, "dist"));
  const last = await lastSizes();
  console.log(sizeTable(sizes, last));
  assert.ok((sizes["page's first load, minified"] ?? Infinity) < 400_000);
  assert.ok((sizes["page's first load, gzip"] ?? Infinity) < 130_000);
  assert.equal(grown(sizes, last), [], "`npm run sizes -- --keep` keeps the new sizes, if they are worth it");
});

test("an application that esbuild bundles for Node generates", async () => {
  const { build } = await import("esbuild");
  const external = ["webgpu", "@sparticuz/chromium"];
  const outfile = join(app, "bundled.mjs");
  await build({
    absWorkingDir: app,
    entryPoints: ["node.js"],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    external,
  });
  const args = [weights, String(NEW_TOKENS)];
  const { exit, stdout, stderr } = await (await openProcess()).run(outfile, app, args);
  assert.is(exit, 0, stderr);
  assert.equal(JSON.parse(stdout), expected);
});

test("a worker that Vite builds generates", async () => {
  const { build } = await import("vite");
  const outDir = join(app, "dist-worker");
  const rollupOptions = { input: join(app, "worker.html") };
  await build({
    root: app,
    logLevel: "error",
    worker: { format: "es" },
    build: { outDir, rollupOptions, target: "es2022" },
  });
  const server = await serve({ folders: { "/": outDir } });
  try {
    assert.equal(await tokensOfPage(await sharedChromium(), `${server.origin}/worker.html`), expected);
  } finally {
    await server.close();
  }
});

test("the engine in its worker generates, as Vite builds it, under a strict policy", async () => {
  const { build } = await import("vite");
  const outDir = join(app, "dist-engine");
  const rollupOptions = { input: join(app, "engine.html") };
  await build({
    root: app,
    logLevel: "error",
    worker: { format: "es" },
    build: { outDir, rollupOptions, target: "es2022" },
  });
  const server = await serve({ folders: { "/": outDir } });
  try {
    assert.equal(await tokensOfPage(await sharedChromium(), `${server.origin}/engine.html`), expected);
  } finally {
    await server.close();
  }
});

test("a page that Vite serves generates", async () => {
  const { createServer } = await import("vite");
  const server = await createServer({ root: app, logLevel: "error", server: { host: "127.0.0.1" } });
  try {
    await server.listen();
    assert.equal(await tokensOfPage(await sharedChromium(), server.resolvedUrls?.local[0] ?? ""), expected);
  } finally {
    await server.close();
  }
});

/**
 * Opens the application's page and waits for what it generates.
 * @param scripts gets the size in bytes of each script that the page loads
 */
async function tokensOfPage(browser: Browser, address: string, scripts = new Map<string, number>()): Promise<unknown> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    page.on("response", async (response) => {
      const { pathname } = new URL(response.url());
      if (pathname.endsWith(".js")) scripts.set(pathname, (await response.body()).length);
    });
    await page.goto(`${address}?new_tokens=${NEW_TOKENS}`);
    const output = page.locator("output:not(:empty)");
    // Attached, not visible: without fonts on the system the text takes no space.
    await output.waitFor({ state: "attached", timeout: 120_000 });
    return JSON.parse((await output.textContent()) ?? "");
  } finally {
    await context.close();
  }
}

test.run();
