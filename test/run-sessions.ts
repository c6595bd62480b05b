/** The places where test files run: a Node process, and a page in Chromium or in Firefox. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { openTestPage, serveTestPage } from "./page/open.ts";
import type { Posted } from "./page/post.ts";
import { root } from "./run-files.ts";
import type { Answered, Asked } from "./run-node.ts";
import type { FileResult } from "./run-suite.ts";
import { openFirefox } from "./support/firefox.ts";
import { ProcessorTime } from "./support/processor-time.ts";
import type { Turn } from "./support/turns.ts";

/** A file that takes longer than this has hung. */
const FILE_LIMIT_MS = 10 * 60_000;

/** Takes the next file to run; undefined when none is left. */
export type NextFile = () => string | undefined;

/**
 * Runs files as long as there are any, and hands on each result. Resolves when none is left; or, if the process or page
 * died or hung, with the reason: the file that was taken last is the one to blame if it has no result.
 */
export type Session = (next: NextFile, onResult: (result: FileResult) => void) => Promise<string | undefined>;

/**
 * Files in one process, so that they share the GPU device and the compiled pipelines.
 * @param turn in shared sweeps
 * @param dawnFlags see src/gpu/node-dawn.ts
 * @param times whether to measure tests and processor time
 */
export function nodeSession(turn: Turn, dawnFlags: string, times: boolean): Session {
  const env = { ...process.env, SLUICE_DAWN_FLAGS: dawnFlags };
  return (next, onResult) => runInNode(turn, env, times, next, onResult);
}

function runInNode(
  turn: Turn,
  env: NodeJS.ProcessEnv,
  times: boolean,
  next: NextFile,
  onResult: (result: FileResult) => void,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const args = ["--import", "tsx", join(root, "test/run-node.ts"), JSON.stringify(turn)];
    if (times) args.push("--times");
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const processor = times && child.pid !== undefined ? new ProcessorTime(child.pid) : undefined;
    let hung: string | undefined;
    const watchdog = new Watchdog((reason) => {
      hung = reason;
      child.kill("SIGKILL");
    });
    child.on("message", (message) => {
      watchdog.reset();
      const { result } = message as Asked;
      if (result) onResult({ ...result, ...lap(processor) });
      child.send({ file: next() ?? null } satisfies Answered);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      watchdog.stop();
      processor?.stop();
      resolve(hung ?? (code === 0 ? undefined : `The process ended with ${signal ?? `exit code ${code}`}.`));
    });
  });
}

/** What a result says of processor time. */
function lap(processor: ProcessorTime | undefined): Pick<FileResult, "processorSeconds"> {
  return processor ? { processorSeconds: processor.lap() } : {};
}

/**
 * Files in one page of the given Chromium.
 * @param files all that it may be asked to run
 * @param turn in shared sweeps
 * @param times whether to measure tests and processor time
 */
export function pageSession(browser: Browser, files: readonly string[], turn: Turn, times: boolean): Session {
  return async (next, onResult) => {
    const processor = times ? new ProcessorTime(await processOf(browser)) : undefined;
    let end: (reason: string | undefined) => void = () => undefined;
    const ended = new Promise<string | undefined>((resolve) => {
      end = resolve;
    });
    const watchdog = new Watchdog(end);

    const opened = await openTestPage(browser, scriptFor(files, turn, times), async (page, readable) => {
      page.on("console", (message) => {
        // The engine asks for files that a folder may lack; the browser logs each such answer of the server.
        if (!message.text().startsWith("Failed to load resource")) console.log(readable(message.text()));
      });
      page.on("pageerror", (error) => end(readable(`Uncaught in the page: ${error.stack ?? error.message}`)));
      page.on("crash", () => end("The page crashed."));
      page.on("close", () => end("The page was closed."));
      await page.exposeFunction("sendResult", (result: FileResult) => {
        watchdog.reset();
        onResult({ ...result, report: readable(result.report), ...lap(processor) });
      });
      await page.exposeFunction("nextFile", () => {
        const file = next();
        if (file === undefined) end(undefined);
        return file ?? null;
      });
    });
    try {
      return await ended;
    } finally {
      watchdog.stop();
      processor?.stop();
      await opened.close();
    }
  };
}

/** The id of the browser's first process, which starts all others. */
async function processOf(browser: Browser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const first = processInfo.find(({ type }) => type === "browser");
  if (!first) throw new Error("The browser names no process of its own");
  return first.id;
}

/** Files in one page of a Firefox of its own, which posts what the other pages hand over by Playwright. */
export function firefoxSession(files: readonly string[], turn: Turn): Session {
  return async (next, onResult) => {
    let end: (reason: string | undefined) => void = () => undefined;
    const ended = new Promise<string | undefined>((resolve) => {
      end = resolve;
    });
    const watchdog = new Watchdog(end);
    const served = await serveTestPage(
      `import { postResults } from "./test/page/post.ts"; postResults(); ${scriptFor(files, turn, false)}`,
      (text) => {
        watchdog.reset();
        const { result, uncaught, next: asks } = JSON.parse(text) as Posted;
        if (uncaught !== undefined) end(served.readable(`Uncaught in the page: ${uncaught}`));
        if (result) onResult({ ...result, report: served.readable(result.report) });
        const file = asks && next();
        if (asks && file === undefined) end(undefined);
        return file ?? "";
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
}

/** The script of a page that runs files. */
function scriptFor(files: readonly string[], turn: Turn, times: boolean): string {
  const tests = files.map((file) => `${JSON.stringify(file)}: () => import(${JSON.stringify(`./${file}`)})`);
  return `import { runInPage } from "./test/page/main.ts"; globalThis.testTurn = ${JSON.stringify(turn)};
    await runInPage({${tests.join(", ")}}, { times: ${times} });`;
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
