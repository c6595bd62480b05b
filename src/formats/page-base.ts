/** What a page's relative addresses are relative to. */

let base: string | undefined;

/** The page's address; in a worker that serves a page that page's, if it has said so, else the worker's own. */
export function pageBase(): string | undefined {
  return globalThis.document?.baseURI ?? base ?? globalThis.location?.href;
}

/** Makes a worker read relative addresses as the page that it serves. */
export function usePageBase(address: string): void {
  base = address;
}
