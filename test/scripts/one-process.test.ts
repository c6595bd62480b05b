/** The process that runs the documentation's programs one after another: what one does, the next does not see. */
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type OneProcess, openProcessIn } from "../../scripts/one-process/open.ts";
import { output } from "../../scripts/packed.ts";
import { root } from "../run-files.ts";
import { inFolder } from "../support/folder.ts";

/** Runs what `use` asks for in a folder with these programs, by name. */
async function withPrograms(
  programs: Readonly<Record<string, string>>,
  use: (shared: OneProcess, folder: string) => Promise<void>,
): Promise<void> {
  await inFolder(async (folder) => {
    await symlink(join(root, "node_modules"), join(folder, "node_modules"));
    for (const [name, text] of Object.entries(programs)) await writeFile(join(folder, name), text);
    const shared = await openProcessIn(folder);
    try {
      await use(shared, folder);
    } finally {
      shared.end();
    }
  });
}

test("each program has arguments, streams, globals and an exit code of its own", async () => {
  const greet = `let typed = ""; for await (const text of process.stdin) typed += text;
    console.log(process.argv.slice(2).join(), typed, process.cwd() === import.meta.dirname, globalThis.count ?? "none");
    globalThis.count = 1; process.exitCode = 3;`;
  await withPrograms({ "greet.mjs": greet }, async (shared, folder) => {
    const ran = () => shared.run(join(folder, "greet.mjs"), folder, ["é", "2"]);
    for (const { exit, stdout } of [await ran(), await ran()]) {
      assert.equal([exit, stdout], [3, "é,2  true none\n"]);
    }
    await shared.start();
    const line = [...shared.command, join(folder, "greet.mjs"), "a"].map((word) => `"${word}"`).join(" ");
    assert.is(await output("bash", ["-c", `printf hello | ${line} || test $? = 3`], folder), "a hello true none\n");
  });
});

test("what would fail or never end in a process of its own fails here, and the next program runs", async () => {
  const programs = {
    "late.mjs": "setTimeout(() => { throw new Error('too late'); }, 5);",
    "open.mjs": "setInterval(() => undefined, 1000);",
    "gone.mjs": "process.exit(0);",
    "good.mjs": "console.log('done');",
  };
  await withPrograms(programs, async (shared, folder) => {
    const ran = (name: keyof typeof programs) => shared.run(join(folder, name), folder);
    const late = await ran("late.mjs");
    assert.is(late.exit, 1);
    assert.match(late.stderr, /too late\n.*late\.mjs/);
    const open = await ran("open.mjs");
    assert.is(open.exit, 1);
    assert.match(open.stderr, /left Timeout open/);
    assert.is((await ran("gone.mjs")).exit, null);
    assert.equal(await ran("good.mjs"), { exit: 0, late: false, stdout: "done\n", stderr: "" });
  });
});

test.run();
