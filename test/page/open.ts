/** Opens a page with a bundle of our own in it, next to the weights and the test data. */
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { root } from "../run-files.ts";
import { bundleForPage } from "./bundle.ts";
import { serve } from "./server.ts";

export interface TestPage {
  readonly page: Page;
  /** Closes the page and its server. */
  close(): Promise<void>;
}

export interface ServedPage {
  readonly url: string;
  /** Puts positions in the sources in place of positions in the bundle, as in the stack of an error. */
  readable(text: string): string;
  close(): Promise<void>;
}

/**
 * Bundles `script`, a module whose relative imports start at the top of the repository, and serves a page that runs it.
 * URL paths under /weights/, /test/golden/ and /test/data/ are those of the repository.
 * @param onPost takes what the page posts, as text, and returns the answer
 */
export async function serveTestPage(script: string, onPost?: (text: string) => string): Promise<ServedPage> {
  const bundle = await bundleForPage(script);
  const html = `<!doctype html><title>Sluice tests</title><script type="module" src="${bundle.entry}"></script>`;
  const folders = ["weights", "test/golden", "test/data"].map((folder) => [`/${folder}/`, join(root, folder)] as const);
  const server = await serve({
    files: new Map<string, string | Uint8Array>([...bundle.files, ["/index.html", html]]),
    folders: Object.fromEntries(folders),
    ...(onPost && { onPost }),
  });
  return { url: `${server.origin}/index.html`, readable: bundle.readable, close: server.close };
}

/**
 * Opens a page that runs `script` in a browser that Playwright drives: {@link serveTestPage}.
 * @param prepare sees the page before anything runs in it, to listen to it; with what makes stack traces readable
 */
export async function openTestPage(
  browser: Browser,
  script: string,
  prepare?: (page: Page, readable: (text: string) => string) => Promise<void>,
): Promise<TestPage> {
  const served = await serveTestPage(script);
  const page = await browser.newPage();
  const close = async () => {
    await page.close();
    await served.close();
  };
  try {
    await prepare?.(page, served.readable);
    await page.goto(served.url);
  } catch (error) {
    await close();
    throw error;
  }
  return { page, close };
}
