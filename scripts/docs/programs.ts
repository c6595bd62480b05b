/** The TypeScript of a page: which of its blocks are one program, whether its types hold, and whether it runs. */
import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { output, root } from "../packed.ts";
import type { Block, Page } from "./blocks.ts";
import { atItsLines, fileFor, type Reader } from "./reader.ts";

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

/** The programs of some pages, compiled. */
export interface Programs {
  /** The JavaScript of a program, by its first block: a file in the reader's folder. */
  readonly files: ReadonlyMap<Block, string>;
  /** What the compiler says of a program, by its first block; none if nothing is wrong. */
  readonly errors: ReadonlyMap<Block, readonly string[]>;
}

/**
 * Writes the programs of pages into the reader's folder, each line at the number that it has in its page, and compiles
 * all of them at once as a strict application would, without `skipLibCheck`: most of the compiler's time goes into the
 * libraries' declarations.
 */
export async function compilePrograms(reader: Reader, pages: readonly Page[]): Promise<Programs> {
  const sources = new Map<string, Block>();
  for (const program of pages.flatMap(({ blocks }) => programsOf(blocks))) {
    const [first] = program;
    if (!first) throw new Error("a program has at least one block");
    const file = fileFor(first, ".ts");
    await writeFile(join(reader.folder, file), atItsLines(program));
    sources.set(file, first);
  }
  const errors = await compile(reader, [...sources.keys()]);
  return {
    files: new Map([...sources].map(([file, first]) => [first, file.replace(/\.ts$/, ".js")])),
    errors: new Map(
      [...sources].flatMap(([file, first]) => (errors.has(file) ? [[first, errors.get(file) ?? []]] : [])),
    ),
  };
}

/** @returns the compiler's errors by file; what it says of no file is said of the first */
async function compile(reader: Reader, files: readonly string[]): Promise<ReadonlyMap<string, string[]>> {
  const errors = new Map<string, string[]>();
  const [first] = files;
  if (first === undefined) return errors;
  const options = {
    compilerOptions: {
      target: "ES2022",
      module: "nodenext",
      // A program without imports shares no names with another's.
      moduleDetection: "force",
      lib: ["ES2023", "DOM", "DOM.Iterable", "DOM.AsyncIterable"],
      // The reader's own `npm install --save-dev @types/node`.
      typeRoots: [join(root, "node_modules/@types")],
      types: ["node"],
      strict: true,
      exactOptionalPropertyTypes: true,
      inlineSourceMap: true,
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
    const file = files.find((name) => line.startsWith(`${name}(`)) ?? first;
    errors.set(file, [...(errors.get(file) ?? []), line]);
  }
  return errors;
}
