/**
 * Runs the documentation: every fenced block of README.md and of the pages in docs/, and the example of the library's
 * module comment, page by page, in a folder in which the packed package is installed; and checks all links, in the
 * repository and in the package.
 *
 *   npm run docs:check              all pages
 *   npm run docs:check -- fitting   the pages whose path fits a regular expression
 *
 * See scripts/docs/blocks.ts for what can stand after a fence. Blocks in Python run in the environment that
 * `npm run test:python` makes, or in the Python that PYTHON names; one that needs more than is installed there, such as
 * torch, is listed as not run, and `npm run test:oracles` runs it.
 */
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { brokenLinksBelow, readPages } from "./docs/pages.ts";
import { compilePrograms } from "./docs/programs.ts";
import { openReader } from "./docs/reader.ts";
import { type BlockResult, runPage } from "./docs/run-page.ts";
import { installPacked, root } from "./packed.ts";

const pattern = new RegExp(process.argv.slice(2).join("|"));
const pages = readPages().filter(({ path }) => pattern.test(path));
const count = { passed: 0, failed: 0, notRun: 0 };

const { folder } = await installPacked();
const faults = [
  ...pages.flatMap((page) => page.faults),
  ...brokenLinksBelow(root),
  ...brokenLinksBelow(join(folder, "node_modules/sluice")).map((fault) => `in the package, ${fault}`),
];
for (const fault of faults) console.log(`✘ ${fault}`);
count.failed += faults.length;
const reader = await openReader();
const programs = await compilePrograms(reader, pages);
for (const page of pages) await runPage(reader, page, programs, { slow: true }, print);
console.log(`${count.passed} passed, ${count.failed} failed, ${count.notRun} not run`);
// A browser may be open.
process.exit(count.failed > 0 || count.passed === 0 ? 1 : 0);

function print({ block, seconds, fault, notRun }: BlockResult): void {
  const place = `${block.page}:${block.line}`.padEnd(30);
  if (notRun !== undefined) {
    count.notRun += 1;
    console.log(`– ${place} ${block.language.padEnd(6)}  not run: ${notRun}`);
    return;
  }
  const failed = fault !== undefined;
  count[failed ? "failed" : "passed"] += 1;
  console.log(`${failed ? "✘" : "✓"} ${place} ${block.language.padEnd(6)} ${seconds.toFixed(1).padStart(6)} s`);
  if (failed) console.log(`\n${stripVTControlCharacters(fault).replace(/^/gm, "    ")}\n`);
}
