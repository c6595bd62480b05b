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

/**
 * Bundles `script`, a module whose relative imports start at the top of the repository, and opens a page that runs it.
 * URL paths under /weights/, /test/golden/ and /test/data/ are those of the repository.
 * @param prepare sees the page before anything runs in it, to listen to it; with what makes stack traces readable
 */
export async function openTestPage(
  browser: Browser,
  script: string,
  prepare?: (page: Page, readable: (text: string) => string) => Promise<void>,
): Promise<TestPage> {
  const bundle = await bundleForPage(script);
  const html = `<!doctype html><title>Sluice tests</title><script type="module" src="${bundle.entry}"></script>`;
  const folders = ["weights", "test/golden", "test/data"].map((folder) => [`/${folder}/`, join(root, folder)] as const);
  const server = await serve({
    files: new Map<string, string | Uint8Array>([...bundle.files, ["/index.html", html]]),
    folders: Object.fromEntries(folders),
  });
  const page = await browser.newPage();
  const close = async () => {
    await page.close();
    await server.close();
  };
  try {
    await prepare?.(page, bundle.readable);
    await page.goto(`${server.origin}/index.html`);
  } catch (error) {
    await close();
    throw error;
  }
  return { page, close };
}
