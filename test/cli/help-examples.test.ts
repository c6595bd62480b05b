/** The examples that help prints: all are command lines as their commands take them, and those of small models run. */
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { COMMANDS } from "../../src/cli/commands.ts";
import { root } from "../run-files.ts";
import { run } from "./fake-world.ts";
import { runReal } from "./real-library.ts";

const examples = COMMANDS.flatMap(({ examples: own }) => own.map(({ line }) => line));

/** What runs in a moment. The others' commands have the larger model, files that a reader has, or measure speed. */
const quick = (line: string): boolean =>
  /^info$|weights\/(?:gpt-nano-sort|stories260K)\b/.test(line) && !/^(?:bench|profile)\b/.test(line);

/** The words of a line, as a shell makes them; none of the examples has more than double quotes. */
function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
}

/** A folder with what the examples name of the repository, as the working folder. */
let folder = "";
const before = process.cwd();
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-examples-"));
  for (const name of ["weights", "test"]) await symlink(join(root, name), join(folder, name));
  process.chdir(folder);
});
test.after(async () => {
  process.chdir(before);
  await rm(folder, { recursive: true });
});

test("every example is understood by its command", async () => {
  assert.ok(examples.length >= COMMANDS.length);
  for (const line of examples) {
    const { code, stderr } = await run(words(line));
    // Files of the reader's own are missing here, which is code 1; and played models do not do everything.
    assert.ok(code !== 2 || stderr.includes("Played"), `sluice ${line}\n${stderr}`);
  }
});

test("examples of small models print or write something", async () => {
  const lines = examples.filter(quick);
  assert.ok(lines.length >= 8, lines.join("\n"));
  for (const line of lines) {
    const { code, stdout, stderr } = await runReal(words(line));
    assert.is(code, 0, `sluice ${line}\n${stderr}`);
    assert.ok(stdout !== "" || stderr !== "", line);
  }
});

test.run();
