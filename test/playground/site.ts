/** The playground as its visitors get it: built, and served from a folder of a server. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
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
  /**
   * A visitor who stays, so that a model's kernels compile once. A file finds the page as another left it, and sets what it
   * needs: {@link openSmall} makes sure of the model, {@link freshPrompt} of the room Steer, {@link firstScreen} of the rest.
   */
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
  // Nothing is animated: without a GPU each frame costs what a token does.
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce" });
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

/** The first screen of the shared visitor: as it is if nobody was here before, or else loaded again. */
export async function firstScreen({ site, visited: { page } }: Shared): Promise<void> {
  const recorded = page.getByText("Recorded run.");
  if ((await page.locator(".model-line").count()) > 0) {
    // An address that differs in its fragment alone would be the same page.
    await page.goto("about:blank");
    await page.goto(site.url);
  }
  await recorded.waitFor();
}

/** The room Steer with a model, without bundles, to continue a prompt. */
export async function freshPrompt(page: Page, name: string): Promise<void> {
  await openSmall(page, name);
  await page.getByRole("tab", { name: "Steer", exact: true }).click();
  const remove = page.getByRole("button", { name: /^Remove / });
  while ((await remove.count()) > 0) await remove.first().click();
  await page.getByRole("radio", { name: "Prompt" }).check();
}

/** Presses Copy link, and returns the link. */
export async function copyLink(page: Page): Promise<string> {
  const before = page.url();
  await page.getByRole("button", { name: "Copy link" }).click();
  await page.waitForURL(({ href }) => href !== before && href.includes("#s="));
  return page.url();
}

/** Opens a link in the address bar of a page, and waits until what it says was drawn again, and came out the same. */
export async function pasteLink(page: Page, link: string): Promise<void> {
  // An address that the page has already is no news.
  await page.evaluate(() => history.replaceState(null, "", location.pathname));
  await page.goto(link);
  await page.getByText("the same tokens as when it was made").waitFor();
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

/** A slider of a stage. */
export function slider(page: Page, group: string, name: "Strength" | "Alpha"): Locator {
  return page.getByRole("group", { name: group, exact: true }).getByRole("slider", { name });
}

/** Sets a slider as a hand does. */
export async function slide(page: Page, group: string, name: "Strength" | "Alpha", value: number): Promise<void> {
  await slider(page, group, name).fill(String(value));
}

/** Adds the bundle that {@link pushBundle} makes, as a file. */
export async function addPush(page: Page, bytes: Uint8Array): Promise<void> {
  const file = { name: "push.safetensors", mimeType: "application/octet-stream", buffer: Buffer.from(bytes) };
  await page.getByLabel("Add bundle").setInputFiles(file);
  await page.getByRole("group", { name: "push", exact: true }).waitFor();
}

/** What a hand does once a side has that many tokens more: it presses a button or, with a value, moves a slider. */
export interface Deed {
  readonly tokens: number;
  readonly on: Locator;
  readonly value?: number;
}

/**
 * Begins a run, and does one thing after the other while it goes on: from within the page, since a run may end before a
 * hand from outside arrives.
 */
export async function meanwhile(side: Locator, deeds: readonly Deed[], begin: () => Promise<void>): Promise<void> {
  const handles = deeds.map(async ({ on, ...deed }) => ({ ...deed, element: await on.elementHandle() }));
  await side.evaluate(
    (root, waiting) => {
      const tokens = root.getElementsByClassName("token");
      let base = tokens.length;
      const observer = new MutationObserver(() => {
        const now = tokens.length;
        // A run in place of another.
        base = Math.min(base, now);
        const [next] = waiting;
        if (!next) return observer.disconnect();
        if (now < base + next.tokens) return;
        base = now;
        waiting.shift();
        const element = next.element as HTMLInputElement | HTMLButtonElement;
        if (next.value === undefined) return element.click();
        element.value = String(next.value);
        for (const type of ["input", "change"]) element.dispatchEvent(new Event(type, { bubbles: true }));
      });
      observer.observe(root, { childList: true, subtree: true });
    },
    await Promise.all(handles),
  );
  await begin();
}

/** Presses Generate, and waits for the end. */
export async function generate(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Generate" }).click();
  await page.getByText("Done.", { exact: true }).waitFor();
}
