/** The TypeScript of a page: which of its blocks are one program, whether its types hold, and whether it runs. */
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { output, root } from "../packed.ts";
import type { Block } from "./blocks.ts";
import { atItsLines, fileFor, type Outcome, type Reader } from "./reader.ts";

const require = createRequire(import.meta.url);

/**
 * Blocks of a page that belong to one program, in order. A block that imports something begins one; a block without
 * imports continues the one before it, as if a reader added it below.
 */
export function programsOf(blocks: readonly Block[]): Block[][] {
  const programs: Block[][] = [];
  for (const block of blocks) {
    if (block.language !== "ts" || block.reason !== undefined) continue;
    const current = programs.at(-1);
    if (!current || /^import\b/m.test(block.text)) programs.push([block]);
    else current.push(block);
  }
  return programs;
}

/** Writes a program into the reader's folder, each line at the number that it has in its page. */
export async function writeProgram(reader: Reader, program: readonly Block[]): Promise<string> {
  const [first] = program;
  if (!first) throw new Error("a program has at least one block");
  const file = fileFor(first, ".ts");
  await writeFile(join(reader.folder, file), atItsLines(program));
  return file;
}

/**
 * Checks programs as a strict application would, without `skipLibCheck`.
 * @returns the compiler's errors by program
 */
export async function typeErrors(reader: Reader, files: readonly string[]): Promise<ReadonlyMap<string, string[]>> {
  const errors = new Map<string, string[]>();
  if (files.length === 0) return errors;
  const options = {
    compilerOptions: {
      target: "ES2022",
      module: "nodenext",
      lib: ["ES2023", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
      // The reader's own `npm install --save-dev @types/node`.
      typeRoots: [join(root, "node_modules/@types")],
      types: ["node"],
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
    },
    files,
  };
  await writeFile(join(reader.folder, "blocks.tsconfig.json"), JSON.stringify(options));
  const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
  const printed = await output(
    process.execPath,
    [tsc, "-p", "blocks.tsconfig.json", "--pretty", "false"],
    reader.folder,
  ).catch((error: { stdout?: string }) => error.stdout ?? String(error));
  for (const line of printed.split("\n").filter((text) => text !== "")) {
    const file = files.find((name) => line.startsWith(`${name}(`)) ?? files[0] ?? "";
    errors.set(file, [...(errors.get(file) ?? []), line]);
  }
  return errors;
}

/** Runs a program in Node. Its stack has the page's line numbers. */
export function runProgram(reader: Reader, file: string): Promise<Outcome> {
  return reader.run(process.execPath, ["--import", pathToFileURL(require.resolve("tsx")).href, file]);
}
