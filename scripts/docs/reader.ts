/**
 * The reader of the documentation: a folder with the packed package installed and the repository's small data beside
 * it, in which the blocks of pages run in order, each with what those before it left.
 */
import { spawn } from "node:child_process";
import { chmod, cp, mkdir, symlink, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { UNCHECKED } from "../../test/support/chromium.ts";
import { installPacked, root } from "../packed.ts";
import type { Block } from "./blocks.ts";
import { packagePath } from "./python.ts";

/** What a reader has in addition to the package: the parts of a checkout that the pages name. */
const readersFiles = ["weights", "test/data", "docs"];

/** A block that takes longer than this is not one for a reader to wait for. */
const LIMIT_MS = 300_000;

/** How a block ended: what went wrong, or nothing. */
export interface Outcome {
  readonly fault?: string;
}

export interface Reader {
  readonly folder: string;
  /** Runs a program here, and reports its output if it fails or takes too long. */
  run(file: string, args: readonly string[]): Promise<Outcome>;
}

/** Makes the reader's folder inside of the installed application, whose node_modules it sees. */
export async function openReader(): Promise<Reader> {
  const { folder: application } = await installPacked();
  const folder = join(application, "reader");
  for (const path of readersFiles) {
    await mkdir(join(folder, path, ".."), { recursive: true });
    await cp(join(root, path), join(folder, path), { recursive: true });
  }
  const programs = join(application, "programs");
  await mkdir(programs);
  // Where a reader who starts in the application's folder has it: a server is stopped by its own process, not by npx.
  await mkdir(join(folder, "node_modules"));
  await symlink(join(application, "node_modules/.bin"), join(folder, "node_modules/.bin"));
  // Says in milliseconds what npx takes a second for: the program is the one that npx starts.
  const npx = join(programs, "npx");
  const bin = join(application, "node_modules/.bin");
  await writeFile(npx, `#!/bin/sh\nprogram=$1; shift\nexec "${bin}/$program" "$@"\n`);
  await chmod(npx, 0o755);
  const path = [programs, process.env["PATH"] ?? ""].join(delimiter);
  const env = { ...process.env, PATH: path, PYTHONPATH: packagePath, NO_COLOR: "1", SLUICE_DAWN_FLAGS: UNCHECKED };
  return { folder, run: (file, args) => runIn(folder, file, args, env) };
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
      const end = late ? `had not ended after ${LIMIT_MS / 1000} s` : `ended with ${signal ?? `exit code ${code}`}`;
      resolve(code === 0 ? {} : { fault: `${end}\n${lastLines(printed.join(""))}` });
    });
  });
}

function lastLines(text: string): string {
  return text.trimEnd().split("\n").slice(-25).join("\n");
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
