/** Every example, run as its readers run it: against the packed package, in Node and in pages that Vite built. */
import { cp, readdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openProcess } from "../../scripts/one-process/open.ts";
import { installPacked, output, root } from "../../scripts/packed.ts";
import { type Server, serve } from "../page/server.ts";
import { sharedChromium } from "../support/chromium.ts";

/** Long enough for a software GPU on a busy machine. */
const PAGE_LIMIT_MS = 120_000;

/** What each Node example prints, by its name. */
const printed: Readonly<Record<string, readonly RegExp[]>> = {
  "generate.js": [/^Once upon a time, there was/, /^seed 7: Once upon a time/m, /^seed 9: Once upon a time/m],
  "fit.js": [
    /holds ace_resid_post$/m,
    /^plain {3}The king said/m,
    /^edited {2}The king said/m,
    /: 0\.[1-9]\d\d nats$/m,
  ],
  "sliders.js": [/^from new token \d+: strength 1, alpha 2$/m, /^from new token \d+: strength 0/m],
  "strengths.js": [/^alpha 0 {3}The king said/m, /^alpha 2 {3}The king said/m, /^plain {5}The king said/m],
};

let folder = "";

test.before(async () => {
  folder = (await installPacked()).folder;
  for (const path of ["examples", "weights"]) await cp(join(root, path), join(folder, path), { recursive: true });
});

test("examples type-check against the package's declarations", async () => {
  const typed = {
    compilerOptions: {
      ...{ target: "es2022", module: "esnext", moduleResolution: "bundler", strict: true, noEmit: true },
      ...{ allowJs: true, checkJs: true, lib: ["ES2023", "DOM", "DOM.Iterable", "DOM.AsyncIterable"] },
      ...{ typeRoots: [join(root, "node_modules/@types")], types: ["node"] },
    },
    // The configuration of Vite is Vite's to check.
    include: ["examples/*/*.js", "examples/texts.js"],
  };
  await writeFile(join(folder, "examples.tsconfig.json"), JSON.stringify(typed));
  const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
  const errors = await output(process.execPath, [tsc, "-p", "examples.tsconfig.json"], folder).catch(
    (error: { stdout?: string }) => error.stdout ?? String(error),
  );
  assert.is(errors, "");
});

test("the examples for Node print what they promise", async () => {
  const files = (await readdir(join(folder, "examples/node"))).sort();
  assert.equal(files, Object.keys(printed).sort());
  for (const file of files) {
    const module = join(folder, "examples/node", file);
    // One as users run it, in a process of its own and with the checks of bounds.
    const text = file === "generate.js" ? await output(process.execPath, [module], folder) : await runShared(module);
    for (const pattern of printed[file] ?? []) assert.match(text, pattern, file);
  }
});

/** Runs an example where others of the package run too. @returns what it prints */
async function runShared(module: string): Promise<string> {
  const { exit, stdout, stderr } = await (await openProcess()).run(module, folder);
  assert.is(exit, 0, stderr);
  return stdout;
}

let server: Server | undefined;

/** Opens an example's page; whatever it throws or logs as an error fails the test. */
async function open(example: string): Promise<{ page: Page; faults: string[] }> {
  if (!server) {
    const { build } = await import("vite");
    const outDir = join(folder, "dist-examples");
    const base = { root: join(folder, "examples"), configFile: join(folder, "examples/vite.config.js") };
    await build({ ...base, logLevel: "error", build: { outDir, emptyOutDir: true } });
    server = await serve({ folders: { "/": outDir } });
  }
  // Without the checks of bounds, with which package.test.ts runs a page.
  const page = await (await sharedChromium()).newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  await page.goto(`${server.origin}/${example}/index.html`);
  return { page, faults };
}

async function says(page: Page, text: string): Promise<void> {
  await page.locator("[role=status]", { hasText: text }).waitFor({ state: "attached", timeout: PAGE_LIMIT_MS });
}

test("the page continues a text and can be stopped", async () => {
  const { page, faults } = await open("page");
  await says(page, "Ready on");
  await page.locator("form").evaluate((form: HTMLFormElement) => form.requestSubmit());
  await says(page, "Done");
  assert.match((await page.locator("output").textContent()) ?? "", /^Once upon a time, there was/);
  await page.locator("form").evaluate((form: HTMLFormElement) => {
    form.requestSubmit();
    form.querySelector<HTMLButtonElement>("[name=stop]")?.click();
  });
  await says(page, "Stopped");
  assert.equal(faults, []);
  await page.close();
});

test("the worker's text arrives in its page", async () => {
  const { page, faults } = await open("worker");
  await page.locator("output[data-done]").waitFor({ state: "attached", timeout: PAGE_LIMIT_MS });
  assert.ok(((await page.locator("output").textContent()) ?? "").length > 40);
  assert.equal(faults, []);
  await page.close();
});

test("a page fits an edit, and its slider changes what the model says", async () => {
  const { page, faults } = await open("fit");
  const speak = async (alpha: string): Promise<string> => {
    await page.locator("input").evaluate((slider: HTMLInputElement, value) => {
      slider.value = value;
      slider.dispatchEvent(new Event("input"));
    }, alpha);
    await page.locator("[role=status]").evaluate((status) => {
      status.textContent = "";
    });
    await page.locator("button").evaluate((button: HTMLButtonElement) => button.click());
    await says(page, "Done");
    return (await page.locator("output").textContent()) ?? "";
  };
  await says(page, "Ready");
  assert.match((await page.locator("a").getAttribute("href")) ?? "", /^blob:/);
  const [tale, play] = [await speak("0"), await speak("2")];
  assert.match(tale, /^The king said/);
  assert.is.not(play, tale);
  assert.equal(faults, []);
  await page.close();
});

test.after(async () => {
  await server?.close();
});

test.run();
