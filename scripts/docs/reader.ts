/**
 * The reader of the documentation: a folder with the packed package installed and the repository's small data beside
 * it, in which the blocks of pages run in order, each with what those before it left.
 */
import { spawn } from "node:child_process";
import { chmod, cp, mkdir, symlink, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { UNCHECKED } from "../../test/support/chromium.ts";
import { LIMIT_MS, openProcess } from "../one-process/open.ts";
import { installPacked, root } from "../packed.ts";
import type { Block } from "./blocks.ts";
import { packagePath } from "./python.ts";

/** What a reader has in addition to the package: the parts of a checkout that the pages name. */
const readersFiles = ["weights", "test/data", "docs"];

/** How a block ended: what went wrong, or nothing. */
export interface Outcome {
  readonly fault?: string;
}

export interface Reader {
  readonly folder: string;
  /** Runs a program here, in a process of its own, and reports its output if it fails or takes too long. */
  run(file: string, args: readonly string[]): Promise<Outcome>;
  /** The same for a module of this folder, in the process that others run in before and after it. */
  runModule(file: string): Promise<Outcome>;
}

/** Makes the reader's folder inside of the installed application, whose node_modules it sees. */
export async function openReader(): Promise<Reader> {
  const { folder: application } = await installPacked();
  const folder = join(application, "reader");
  for (const path of readersFiles) {
    await mkdir(join(folder, path, ".."), { recursive: true });
    await cp(join(root, path), join(folder, path), { recursive: true });
  }
  // Where a reader who starts in the application's folder has it: a server is stopped by its own process, not by npx.
  await mkdir(join(folder, "node_modules"));
  await symlink(join(application, "node_modules/.bin"), join(folder, "node_modules/.bin"));
  const shared = await openProcess();
  const programs = await writeNpx(application, shared.command);
  const path = [programs, process.env["PATH"] ?? ""].join(delimiter);
  const env = { ...process.env, PATH: path, PYTHONPATH: packagePath, NO_COLOR: "1", SLUICE_DAWN_FLAGS: UNCHECKED };
  return {
    folder,
    async run(file, args) {
      await shared.start();
      const outcome = await runIn(folder, file, args, env);
      // A command may still run in it.
      if (outcome.fault !== undefined) shared.end();
      return outcome;
    },
    async runModule(file) {
      const { exit, late, stdout, stderr } = await shared.run(join(folder, file), folder, [], env);
      const ended = exit === null ? "ended its process" : `ended with exit code ${exit}`;
      return outcomeOf(exit === 0, late, ended, `${stdout}\n${stderr}`);
    },
  };
}

/**
 * Writes an npx that says in milliseconds what npx takes a second for: the program is the one that npx starts. Commands
 * that end by themselves run in the shared process, as their reader's own would: the package's bin with the same
 * arguments, environment and streams.
 * @returns the folder that it is in
 */
async function writeNpx(application: string, command: readonly string[]): Promise<string> {
  const programs = join(application, "programs");
  await mkdir(programs);
  const bin = join(application, "node_modules/.bin");
  const sluice = join(application, "node_modules/sluice/bin/sluice.js");
  const lines = [
    "#!/bin/sh",
    "program=$1; shift",
    'case "$program $1" in',
    `  "sluice serve" | "sluice worker") exec "${bin}/sluice" "$@" ;;`,
    `  "sluice "*) exec ${[...command, sluice].map((word) => `"${word}"`).join(" ")} "$@" ;;`,
    `  *) exec "${bin}/$program" "$@" ;;`,
    "esac",
  ];
  const npx = join(programs, "npx");
  await writeFile(npx, `${lines.join("\n")}\n`);
  await chmod(npx, 0o755);
  return programs;
}

function runIn(cwd: string, file: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    // Its own process group, so that the shell's children end with it.
    const child = spawn(file, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    const printed: string[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => printed.push(String(data)));
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    }, LIMIT_MS);
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve(outcomeOf(code === 0, late, `ended with ${signal ?? `exit code ${code}`}`, printed.join("")));
    });
  });
}

/** @param ended how it ended, if it did not take too long */
function outcomeOf(isDone: boolean, late: boolean, ended: string, printed: string): Outcome {
  if (isDone) return {};
  const lines = printed.trimEnd().split("\n").slice(-25).join("\n");
  return { fault: `${late ? `had not ended after ${LIMIT_MS / 1000} s` : ended}\n${lines}` };
}

/** The block's text under as many empty lines as precede it in its page, so that tools report the page's lines. */
export function atItsLines(blocks: readonly Block[]): string {
  let text = "";
  for (const block of blocks) {
    text += "\n".repeat(Math.max(0, block.line - 1 - (text.split("\n").length - 1)));
    text += `${block.text}\n`;
  }
  return text;
}

/** The name of a file for a block: `docs/fitting.md` at line 12 is `docs-fitting.12` with the extension. */
export function fileFor(block: Block, extension: string): string {
  const page = block.page.replace(/\.(?:md|ts)$/, "").replaceAll("/", "-");
  return `${page}.${block.line}${extension}`;
}
