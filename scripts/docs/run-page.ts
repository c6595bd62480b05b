/** Runs a page of the documentation: its blocks in order, in the reader's folder. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Block, Page } from "./blocks.ts";
import type { Programs } from "./programs.ts";
import { docsPython, missingModules } from "./python.ts";
import { atItsLines, fileFor, type Outcome, type Reader } from "./reader.ts";
import { openInChromium } from "./web-page.ts";

export interface BlockResult {
  readonly block: Block;
  readonly seconds: number;
  /** What went wrong; undefined if nothing did. */
  readonly fault: string | undefined;
  /** Why it was not run; undefined if it was. */
  readonly notRun: string | undefined;
}

export interface RunOptions {
  /** Whether blocks run that are marked as slow; of others the types are checked. */
  readonly slow: boolean;
}

/** Runs a page's blocks in order; calls back after each block, also of those not run. */
export async function runPage(
  reader: Reader,
  page: Page,
  programs: Programs,
  { slow }: RunOptions,
  onResult: (result: BlockResult) => void,
): Promise<void> {
  let lacking: string | undefined;
  for (const block of page.blocks) {
    // The first block of a program represents all of them.
    const program = programs.files.get(block);
    const wrongTypes = programs.errors.get(block)?.join("\n");
    // What comes after Python's blocks may need the files that they write.
    if (block.language === "python" && block.reason === undefined && docsPython() === undefined) {
      lacking = "there is no Python: npm run test:python makes an environment, or PYTHON names one";
    }
    const notRun = block.reason ?? lacking ?? missingPackages(block) ?? (slow ? undefined : block.slow);
    if (notRun !== undefined) {
      onResult({ block, seconds: 0, fault: wrongTypes, notRun });
      continue;
    }
    if (block.language === "text" || (block.language === "ts" && program === undefined)) continue;
    const started = performance.now();
    const { fault } = wrongTypes !== undefined ? { fault: wrongTypes } : await runBlock(reader, block, program ?? "");
    onResult({ block, seconds: (performance.now() - started) / 1000, fault, notRun });
  }
}

async function runBlock(reader: Reader, block: Block, program: string): Promise<Outcome> {
  switch (block.language) {
    case "sh":
      return runShell(reader, block);
    case "ts":
      // Its stack has the page's line numbers.
      return reader.runModule(program);
    case "html":
      return openInChromium(reader, block);
    case "json":
      return readJson(block);
    case "python":
      return runPython(reader, block);
    case "text":
      return {};
  }
}

/** All lines of a block in one shell, which stops at the first that fails and says which it was. */
async function runShell(reader: Reader, block: Block): Promise<Outcome> {
  const file = fileFor(block, ".sh");
  await writeFile(join(reader.folder, file), atItsLines([block]));
  const trap = `trap 'echo "${block.page}:$LINENO: $BASH_COMMAND" >&2' ERR`;
  return reader.run("bash", ["--noprofile", "--norc", "-c", `set -euo pipefail; ${trap}; source "./${file}"`]);
}

function readJson(block: Block): Outcome {
  try {
    JSON.parse(block.text);
    return {};
  } catch (error) {
    return { fault: String(error) };
  }
}

function missingPackages({ language, text }: Block): string | undefined {
  const python = docsPython();
  if (language !== "python" || python === undefined) return undefined;
  const missing = missingModules(python, text);
  return missing.length > 0 ? `${python} has no ${missing.join(", ")}` : undefined;
}

async function runPython(reader: Reader, block: Block): Promise<Outcome> {
  const file = fileFor(block, ".py");
  await writeFile(join(reader.folder, file), atItsLines([block]));
  return reader.run(docsPython() ?? "python3", [file]);
}
