/** What the playground promises of itself: keyboard, accessibility, offline, a page that never freezes, its size. */
import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Browser, Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root } from "../run-files.ts";
import { openChromium, UNCHECKED } from "../support/chromium.ts";
import { generate, openSmall, type Site, servePlayground, tokensOf, type Visit, visit } from "./site.ts";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
let site: Site;
let browser: Browser;
let visited: Visit;

test.before(async () => {
  site = await servePlayground();
  browser = await openChromium([`--${UNCHECKED}`]);
  visited = await visit(browser, site.url);
});

test.after(async () => {
  await browser?.close();
  await site?.close();
});

/** What axe finds serious, in words. */
async function findings(page: Page): Promise<string[]> {
  // Evaluated by the debugger, which the page's policy does not bind.
  await page.evaluate(`${axe}; 0`);
  return page.evaluate(async () => {
    const { axe: found } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> };
    };
    const { violations } = await found.run();
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  });
}

test("the first load is small", async () => {
  const dist = join(root, "playground/dist");
  const html = await readFile(join(dist, "index.html"), "utf8");
  const named = [...html.matchAll(/(?:src|href)="\.\/([^"]+\.(?:js|css))"/g)].map((match) => match[1] as string);
  assert.ok(named.length >= 2);
  let bytes = gzipSync(html).length;
  for (const file of named) bytes += gzipSync(await readFile(join(dist, file))).length;
  assert.ok(bytes < 60_000, `${bytes} bytes`);
  assert.ok((await readdir(join(dist, "models/gpt2-stories"))).includes("model.safetensors"));
});

test("the page works by keyboard alone", async () => {
  const { page } = visited;
  await page.getByText("Recorded run.").waitFor();
  await page.getByRole("tab", { name: "Steer" }).focus();
  await page.keyboard.press("ArrowRight");
  assert.ok(await page.getByRole("tab", { name: "Circuit" }).evaluate((tab) => tab === document.activeElement));
  assert.is(await page.getByRole("tabpanel").getAttribute("aria-labelledby"), "tab-circuit");
  await page.keyboard.press("Home");
  // From the tabs on: what has the focus is seen to have it, and the model opens.
  const name = () => page.evaluate(() => document.activeElement?.textContent ?? "");
  for (let i = 0; i < 12 && (await name()) !== "stories260K"; i++) await page.keyboard.press("Tab");
  assert.is(await name(), "stories260K");
  assert.is.not(await page.evaluate(() => getComputedStyle(document.activeElement as Element).outlineStyle), "none");
  await page.keyboard.press("Enter");
  await page.locator(".model-line", { hasText: "stories260K" }).waitFor();
  await page.getByRole("textbox", { name: "Prompt" }).focus();
  await page.keyboard.press("ControlOrMeta+Enter");
  await page.getByText("Done.", { exact: true }).waitFor();
  // One stop for all tokens of a side, arrows between them.
  await page.getByRole("region", { name: "Plain" }).locator(".token").first().focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: "Token", exact: true }).waitFor();
});

test("axe finds nothing serious in any room, in light and dark", async () => {
  const { page } = visited;
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const name of ["Steer", "Circuit", "Fit", "Look", "Measure"]) {
      await page.getByRole("tab", { name, exact: true }).click();
      assert.equal(await findings(page), [], `${name}, ${scheme}`);
    }
  }
  await page.getByRole("tab", { name: "Steer", exact: true }).click();
});

test("no task of the page takes long while it loads and generates", async () => {
  const { page, context } = await visit(browser, site.url);
  await page.getByText("Recorded run.").waitFor();
  await browser.startTracing(page, { categories: ["toplevel", "disabled-by-default-devtools.timeline"] });
  await openSmall(page, "stories260K");
  await generate(page);
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
  const main = new Set(
    traceEvents
      .filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain")
      .map(({ pid, tid }) => `${pid} ${tid}`),
  );
  // Time of the thread, not of the clock: other processes may hold the processor.
  const tasks = traceEvents.filter(
    ({ name, tdur, pid, tid }) => /RunTask$/.test(name) && tdur !== undefined && main.has(`${pid} ${tid}`),
  );
  assert.ok(tasks.length > 100, `${tasks.length} tasks`);
  const longest = Math.max(...tasks.map(({ tdur = 0 }) => tdur)) / 1000;
  assert.ok(longest < 50, `${longest} ms`);
  await context.close();
});

/** Of Chromium's trace format; times in microseconds. */
interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

test("a second visit needs no network", async () => {
  const { page, context, faults } = await visit(browser, site.url);
  // What was fetched before the service worker is there is fetched again later.
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
  await openSmall(page, "stories260K");
  await page.getByRole("textbox", { name: "Prompt" }).fill("The king said");
  await generate(page);
  const before = await tokensOf(page, "Plain");
  await context.setOffline(true);
  await page.reload();
  await page.getByText("Recorded run.").waitFor();
  await openSmall(page, "stories260K");
  await page.getByRole("textbox", { name: "Prompt" }).fill("The king said");
  await generate(page);
  assert.equal(await tokensOf(page, "Plain"), before);
  assert.equal(faults, []);
  await context.close();
});

test("another page embeds the comparison with one script", async () => {
  const { page, faults, context } = await visit(browser, `${site.url}embed.html`);
  await page.getByRole("button", { name: "Run" }).click();
  await page.waitForFunction(() => {
    const text = document.querySelector("sluice-compare")?.shadowRoot?.querySelector(".edited p")?.textContent ?? "";
    return text.length > "The king said".length + 10;
  });
  assert.equal(faults, []);
  await context.close();
});

test.run();
