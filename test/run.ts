/**
 * Runs the tests, in Node and in Chromium side by side.
 *
 *   npm test                      all of them
 *   npm test -- kernels/linear    the files whose path fits a regular expression
 *   npm test -- --node PATTERN    in Node only; --page: in Chromium only
 *   npm test -- --firefox PATTERN in the system's Firefox, on the system's Vulkan driver: test/support/firefox.ts
 *   npm run test:package          the packed package, installed in an empty folder
 *
 * One line per file and environment, everything about failures, and `N passed, N failed` as the last line. The exit
 * code is 0 only if something ran in every environment and nothing failed.
 */
import { availableParallelism } from "node:os";
import { stripVTControlCharacters } from "node:util";
import type { Browser } from "playwright-core";
import { type Environment, testFiles } from "./run-files.ts";
import { firefoxSession, nodeSession, pageSession, type Session } from "./run-sessions.ts";
import type { FileResult } from "./run-suite.ts";
import { openChromium } from "./support/chromium.ts";

const flags = process.argv.slice(2).filter((arg) => arg.startsWith("--"));
const patterns = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
const pattern = new RegExp(patterns.join("|"));
const chosen = (["node", "page", "firefox", "package"] as const).filter((name) => flags.includes(`--${name}`));
if (chosen.length < flags.length) {
  console.error(`Unknown among ${flags.join(" ")}; there are --node, --page, --firefox and --package`);
  process.exit(2);
}
/** A file keeps about one core busy, and memory is shared by all. */
const MOST_WORKERS = 2;
const environments: readonly Environment[] = chosen.length > 0 ? chosen : ["node", "page"];

const titles: Readonly<Record<Environment, string>> = {
  node: "Node",
  page: "Chromium",
  firefox: "Firefox",
  package: "Package",
};
/** Files that run one after the other in one process or page, where they share the device and compiled pipelines. */
interface Batch {
  readonly environment: Environment;
  readonly files: readonly string[];
}

/** Files of a page: few enough that the last batches of all end at about the same time, enough to share something. */
const PAGE_BATCH = 10;

const counts = new Map<Environment, { files: number; passed: number; failed: number; skipped: number }>();
const batches: Batch[] = [];
for (const environment of environments) {
  const files = testFiles(environment, pattern);
  // A pattern may fit files of one environment alone; without one, an environment without tests is a mistake.
  if (files.length === 0 && patterns.length > 0) continue;
  const of = { files: files.length, passed: 0, failed: 0, skipped: 0 };
  counts.set(environment, of);
  if (files.length === 0) fail(environment, "There are no test files for it.");
  const each = environment === "page" || environment === "firefox" ? PAGE_BATCH : Math.max(1, files.length);
  for (let at = 0; at < files.length; at += each) batches.push({ environment, files: files.slice(at, at + each) });
}

// A test keeps one core busy, so as many batches run side by side; packages are installed and timed alone.
const workers = environments.includes("package") ? 1 : Math.min(availableParallelism(), MOST_WORKERS);
const started = performance.now();
await Promise.all(Array.from({ length: workers }, work));

const total = { passed: 0, failed: 0 };
for (const [environment, { files, passed, failed, skipped }] of counts) {
  const more = skipped > 0 ? `, ${skipped} skipped` : "";
  console.log(`${titles[environment]}: ${passed} passed, ${failed} failed${more} in ${files} files`);
  total.passed += passed;
  total.failed += failed;
}
if (counts.size === 0) {
  console.log(`No test file fits ${patterns.join(" ")}`);
  total.failed += 1;
}
console.log(`${((performance.now() - started) / 1000).toFixed(0)} s\n`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

/** Runs batches as long as there are any. Each worker has a browser of its own: pages of one share its GPU process. */
async function work(): Promise<void> {
  let browser: Browser | undefined;
  try {
    for (let batch = batches.shift(); batch; batch = batches.shift()) {
      try {
        if (batch.environment === "page") browser ??= await openChromium();
        await run(batch, sessionFor(batch.environment, browser));
      } catch (error) {
        fail(batch.environment, error instanceof Error ? (error.stack ?? error.message) : String(error));
      }
    }
  } finally {
    await browser?.close();
  }
}

function sessionFor(environment: Environment, browser: Browser | undefined): Session {
  if (environment === "firefox") return firefoxSession;
  return browser && environment === "page" ? pageSession(browser) : nodeSession;
}

/** Runs all files of a batch, and goes on in a fresh process or page after a file that ended it. */
async function run({ environment, files }: Batch, session: Session): Promise<void> {
  let rest = files;
  while (rest.length > 0) {
    const begun = performance.now();
    let done = 0;
    const reason = await session(rest, (result) => {
      done += 1;
      count(environment, result);
    });
    const blamed = rest[done];
    rest = rest.slice(done + 1);
    if (blamed !== undefined) {
      const milliseconds = performance.now() - begun;
      const report = `  ${reason ?? "It ended the run early."}\n`;
      count(environment, { file: blamed, passed: 0, failed: 1, skipped: 0, milliseconds, report });
    } else if (reason !== undefined) throw new Error(`After the last test: ${reason}`);
  }
}

function count(environment: Environment, result: FileResult): void {
  const of = counts.get(environment);
  if (!of) throw new Error(`${environment} was not to run`);
  of.passed += result.passed;
  of.failed += result.failed;
  of.skipped += result.skipped;
  printResult(environment, result);
}

function fail(environment: Environment, text: string): void {
  const of = counts.get(environment);
  if (of) of.failed += 1;
  console.log(`✘ ${titles[environment]}: ${text}`);
}

function printResult(environment: Environment, { file, passed, failed, skipped, milliseconds, report }: FileResult) {
  const name = `${file.replace(/^test\//, "").replace(/\.test\.ts$/, "")}`.padEnd(36);
  const notes = `${failed > 0 ? `, ${failed} failed` : ""}${skipped > 0 ? `, ${skipped} skipped` : ""}`;
  const seconds = (milliseconds / 1000).toFixed(2).padStart(7);
  console.log(
    `${failed > 0 ? "✘" : "✓"} ${titles[environment].padEnd(8)} ${name}${seconds} s  ${passed} passed${notes}`,
  );
  // A page does not know where its report is printed, and colours it.
  if (report !== "") console.log(`\n${process.stdout.isTTY ? report : stripVTControlCharacters(report)}`);
}
