/**
 * Runs the tests: in Node, then in Chromium.
 *
 *   npm test                      all of them
 *   npm test -- kernels/linear    the files whose path fits a regular expression
 *   npm test -- --node PATTERN    in Node only; --page: in Chromium only
 *   npm run test:package          the packed package, installed in an empty folder
 *
 * One line per file and environment, everything about failures, and `N passed, N failed` as the last line. The exit
 * code is 0 only if something ran in every environment and nothing failed.
 */
import { stripVTControlCharacters } from "node:util";
import { type Environment, testFiles } from "./run-files.ts";
import { nodeSession, pageSession, type Session } from "./run-sessions.ts";
import type { FileResult } from "./run-suite.ts";
import { openChromium } from "./support/chromium.ts";

const flags = process.argv.slice(2).filter((arg) => arg.startsWith("--"));
const patterns = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
const pattern = new RegExp(patterns.join("|"));
const chosen = (["node", "page", "package"] as const).filter((name) => flags.includes(`--${name}`));
if (chosen.length < flags.length) {
  console.error(`Unknown among ${flags.join(" ")}; there are --node, --page and --package`);
  process.exit(2);
}
const environments: readonly Environment[] = chosen.length > 0 ? chosen : ["node", "page"];

const titles: Readonly<Record<Environment, string>> = { node: "Node", page: "Chromium", package: "Package" };
const total = { files: 0, passed: 0, failed: 0 };

for (const environment of environments) {
  const files = testFiles(environment, pattern);
  // A pattern may fit files of one environment alone; without one, an environment without tests is a mistake.
  if (files.length === 0 && patterns.length > 0) continue;
  const started = performance.now();
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const count = (result: FileResult) => {
    counts.passed += result.passed;
    counts.failed += result.failed;
    counts.skipped += result.skipped;
    printResult(environment, result);
  };
  try {
    if (files.length === 0) throw new Error("There are no test files for it.");
    await runAll(environment, files, count);
  } catch (error) {
    counts.failed += 1;
    console.log(`✘ ${titles[environment]}: ${error instanceof Error ? error.stack : String(error)}`);
  }
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(
    `${titles[environment]}: ${counts.passed} passed, ${counts.failed} failed${skipped} in ${files.length} files, ${seconds} s\n`,
  );
  total.files += files.length;
  total.passed += counts.passed;
  total.failed += counts.failed;
}

if (total.files === 0) {
  console.log(`No test file fits ${patterns.join(" ")}`);
  total.failed += 1;
}
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

/** Runs all files, and goes on in a fresh process or page after a file that ended it. */
async function runAll(environment: Environment, files: readonly string[], count: (result: FileResult) => void) {
  const browser = environment === "page" ? await openChromium() : undefined;
  try {
    const session: Session = browser ? pageSession(browser) : nodeSession;
    let rest = files;
    while (rest.length > 0) {
      const started = performance.now();
      let done = 0;
      const reason = await session(rest, (result) => {
        done += 1;
        count(result);
      });
      const blamed = rest[done];
      rest = rest.slice(done + 1);
      if (blamed !== undefined) {
        const milliseconds = performance.now() - started;
        const report = `  ${reason ?? "It ended the run early."}\n`;
        count({ file: blamed, passed: 0, failed: 1, skipped: 0, milliseconds, report });
      } else if (reason !== undefined) throw new Error(`After the last test: ${reason}`);
    }
  } finally {
    await browser?.close();
  }
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
