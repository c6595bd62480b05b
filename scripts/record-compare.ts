/**
 * Records `sluice compare` of a plain and an edited model, for the first picture of the README.
 *
 *   npx tsx scripts/record-compare.ts
 *
 * Runs the README's own commands: fits the bundle (plays against tales), compares, and writes docs/plots/compare.svg,
 * what appears on a terminal.
 */
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { main } from "../src/cli/main.ts";
import type { OutputStream } from "../src/cli/output.ts";
import { Screen } from "./terminal/screen.ts";
import { screenSvg } from "./terminal/screen-svg.ts";

const COLUMNS = 88;
const model = "weights/gpt2-stories";
const bundle = "plays.safetensors";
/** Every eighth line is enough for a picture, and for the README. */
const EVERY = 8;

const repository = process.cwd();
const folder = await mkdtemp(join(tmpdir(), "record-compare-"));
const screen = new Screen(COLUMNS);
try {
  await symlink(join(repository, "weights"), join(folder, "weights"));
  process.chdir(folder);
  for (const name of ["plays", "tales"]) {
    const lines = (await readFile(join(repository, `test/data/${name}.jsonl`), "utf8")).split("\n");
    await writeFile(`${name}.jsonl`, lines.filter((line, i) => line !== "" && i % EVERY === 0).join("\n"));
  }
  const classes = ["--positive", "plays.jsonl", "--negative", "tales.jsonl", "--max-tokens", "24"];
  await run(["fit", "ace", model, ...classes, "--out", bundle], silent());
  const shown = ["--with", bundle, "--param", "ace_resid_post.alpha=2", "--max-new-tokens", "30", "--top", "4"];
  screen.write(`$ npx sluice compare ${model} "The king said" --with ${bundle} \\\n`);
  screen.write("    --param ace_resid_post.alpha=2 --max-new-tokens 30 --top 4\n\n");
  await run(["compare", model, "The king said", ...shown], terminal());
  const title = "sluice compare: the plain and the edited model continue one prompt";
  const isTyped = (line: string): boolean => /^(?:\$ | {4}--)/.test(line);
  await writeFile(join(repository, "docs/plots/compare.svg"), screenSvg(screen.lines, COLUMNS, title, isTyped));
} finally {
  process.chdir(repository);
  await rm(folder, { recursive: true });
}

async function run(line: readonly string[], stdout: OutputStream): Promise<void> {
  const code = await main([...line], { stdout, stderr: silent() });
  if (code !== 0) throw new Error(`sluice ${line.join(" ")} ended with ${code}`);
}

/** A stream whose text appears on the recorded screen. */
function terminal(): OutputStream {
  return stream((text) => screen.write(text));
}

/** A stream for text that the picture omits: progress, and which device computes. */
function silent(): OutputStream {
  return stream(() => undefined);
}

function stream(show: (text: string) => void): OutputStream {
  return {
    isTTY: true,
    columns: COLUMNS,
    write(text, done) {
      show(text);
      queueMicrotask(() => done());
      return true;
    },
    on: () => undefined,
    off: () => undefined,
  };
}
