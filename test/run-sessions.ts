/** The places where test files run: a Node process, and a page in Chromium or in Firefox. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { openTestPage, serveTestPage } from "./page/open.ts";
import type { Posted } from "./page/post.ts";
import { root } from "./run-files.ts";
import type { FileResult } from "./run-suite.ts";
import { openFirefox } from "./support/firefox.ts";

/** A file that takes longer than this has hung. */
const FILE_LIMIT_MS = 10 * 60_000;

/**
 * Runs files in order and hands on each result. Resolves when all have run; or, if the process or page died or hung,
 * with the reason: the first file without a result is the one to blame, and those after it have not run.
 */
export type Session = (files: readonly string[], onResult: (result: FileResult) => void) => Promise<string | undefined>;

/** All files in one process, so that they share the GPU device and the compiled pipelines. */
export const nodeSession: Session = (files, onResult) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", "tsx", join(root, "test/run-node.ts"), ...files], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    let hung: string | undefined;
    const watchdog = new Watchdog((reason) => {
      hung = reason;
      child.kill("SIGKILL");
    });
    child.on("message", (result) => {
      watchdog.reset();
      onResult(result as FileResult);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      watchdog.stop();
      resolve(hung ?? (code === 0 ? undefined : `The process ended with ${signal ?? `exit code ${code}`}.`));
    });
  });

/** All files in one page of the given Chromium. */
export function pageSession(browser: Browser): Session {
  return async (files, onResult) => {
    let end: (reason: string | undefined) => void = () => undefined;
    const ended = new Promise<string | undefined>((resolve) => {
      end = resolve;
    });
    const watchdog = new Watchdog(end);
    let remaining = files.length;

    const opened = await openTestPage(browser, scriptFor(files), async (page, readable) => {
      page.on("console", (message) => {
        // The engine asks for files that a folder may lack; the browser logs each such answer of the server.
        if (!message.text().startsWith("Failed to load resource")) console.log(readable(message.text()));
      });
      page.on("pageerror", (error) => end(readable(`Uncaught in the page: ${error.stack ?? error.message}`)));
      page.on("crash", () => end("The page crashed."));
      page.on("close", () => end("The page was closed."));
      await page.exposeFunction("sendResult", (result: FileResult) => {
        watchdog.reset();
        onResult({ ...result, report: readable(result.report) });
        if (--remaining === 0) end(undefined);
      });
    });
    try {
      return await ended;
    } finally {
      watchdog.stop();
      await opened.close();
    }
  };
}

/** All files in one page of a Firefox of its own, which posts what the other pages hand over by Playwright. */
export const firefoxSession: Session = async (files, onResult) => {
  let end: (reason: string | undefined) => void = () => undefined;
  const ended = new Promise<string | undefined>((resolve) => {
    end = resolve;
  });
  const watchdog = new Watchdog(end);
  let remaining = files.length;
  const served = await serveTestPage(
    `import { postResults } from "./test/page/post.ts"; postResults(); ${scriptFor(files)}`,
    (text) => {
      watchdog.reset();
      const { result, uncaught } = JSON.parse(text) as Posted;
      if (uncaught !== undefined) end(served.readable(`Uncaught in the page: ${uncaught}`));
      if (!result) return;
      onResult({ ...result, report: served.readable(result.report) });
      if (--remaining === 0) end(undefined);
    },
  );
  try {
    const firefox = await openFirefox(served.url, end);
    try {
      return await ended;
    } finally {
      await firefox.close();
    }
  } finally {
    watchdog.stop();
    await served.close();
  }
};

/** The script of a page that runs files. */
function scriptFor(files: readonly string[]): string {
  const tests = files.map((file) => `${JSON.stringify(file)}: () => import(${JSON.stringify(`./${file}`)})`);
  return `import { runInPage } from "./test/page/main.ts"; await runInPage({${tests.join(", ")}});`;
}

/** Calls back with a reason if it is not reset in time. */
class Watchdog {
  readonly #timer: NodeJS.Timeout;

  constructor(onHang: (reason: string) => void) {
    this.#timer = setTimeout(
      () => onHang(`It had not finished after ${FILE_LIMIT_MS / 60_000} minutes.`),
      FILE_LIMIT_MS,
    );
  }

  reset(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
