/** The playground as its visitors get it: built, and served from a folder of a server. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { serve } from "../page/server.ts";
import { root } from "../run-files.ts";
import { openChromium, UNCHECKED } from "../support/chromium.ts";

let built: Promise<string> | undefined;

/** Builds it once per process, and returns its folder: of each process its own, since several may build at a time. */
export function buildPlayground(): Promise<string> {
  built ??= build();
  return built;
}

async function build(): Promise<string> {
  const outDir = mkdtempSync(join(tmpdir(), "sluice-playground-"));
  process.once("exit", () => rmSync(outDir, { recursive: true, force: true }));
  const vite = await import("vite");
  const configFile = join(root, "playground/vite.config.ts");
  await vite.build({ configFile, logLevel: "error", build: { outDir, emptyOutDir: true } });
  return outDir;
}

export interface Site {
  /** Of the first page. */
  readonly url: string;
  close(): Promise<void>;
}

/** Below a folder, as on a server that holds other sites too. */
export async function servePlayground(): Promise<Site> {
  const folders = { "/some/folder/": await buildPlayground(), "/weights/": join(root, "weights") };
  const { origin, close } = await serve({ folders });
  return { url: `${origin}/some/folder/`, close };
}

export interface Shared {
  readonly site: Site;
  readonly browser: Browser;
  /** A visitor who stays. Whatever model a test finds open there, {@link openSmall} makes sure of the one it wants. */
  readonly visited: Visit;
}

let shared: Promise<Shared> | undefined;

/** One site, browser and visitor for the files of a process, which closes them when it ends: what is compiled stays. */
export function sharedVisit(): Promise<Shared> {
  shared ??= (async () => {
    const site = await servePlayground();
    const browser = await openChromium([`--${UNCHECKED}`]);
    return { site, browser, visited: await visit(browser, site.url) };
  })();
  return shared;
}

export interface Visit {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Requests to other hosts, and errors that nobody caught. */
  readonly faults: string[];
}

/** A visitor with an empty profile. */
export async function visit(browser: Browser, url: string): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const faults: string[] = [];
  const { host } = new URL(url);
  context.on("request", (request) => {
    const asked = new URL(request.url());
    if (asked.protocol.startsWith("http") && asked.host !== host) faults.push(`request to ${request.url()}`);
  });
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") faults.push(message.text());
  });
  page.setDefaultTimeout(60_000);
  await page.goto(url);
  return { context, page, faults };
}

/** Opens one of the models that come with the site unless it is open, and waits until it can be used. */
export async function openSmall(page: Page, name: string): Promise<void> {
  if ((await page.locator(".model-line", { hasText: name }).count()) > 0) return;
  await page.getByRole("button", { name, exact: true }).click();
  await page.locator(".model-line", { hasText: name }).waitFor();
}

/** Texts of a region's tokens. */
export function tokensOf(page: Page, region: "Plain" | "Edited"): Promise<string[]> {
  return page.getByRole("region", { name: region, exact: true }).locator(".token").allTextContents();
}

/** Sets a slider as a hand does. */
export async function slide(page: Page, group: string, name: "Strength" | "Alpha", value: number): Promise<void> {
  await page.getByRole("group", { name: group, exact: true }).getByRole("slider", { name }).fill(String(value));
}

/** Presses Generate, and waits for the end. */
export async function generate(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Generate" }).click();
  await page.getByText("Done.", { exact: true }).waitFor();
}
