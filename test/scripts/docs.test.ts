/** The script that runs the documentation: what it takes for a block, a program, a link. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readPage } from "../../scripts/docs/blocks.ts";
import { anchorsOf, brokenLinks } from "../../scripts/docs/links.ts";
import { brokenLinksBelow } from "../../scripts/docs/pages.ts";
import { programsOf } from "../../scripts/docs/programs.ts";
import { atItsLines } from "../../scripts/docs/reader.ts";
import { root } from "../run-files.ts";
import { inFolder } from "../support/folder.ts";

const page = (...lines: string[]) => readPage("page.md", lines.join("\n"));

test("a fence's language, file and reason are read, and its lines counted", () => {
  const { blocks, faults } = page(
    "# A",
    "```sh",
    "one",
    "two",
    "```",
    "````html a/b.html norun: it is long",
    "```",
    "````",
    "```ts slow: it fits",
    "```",
  );
  assert.equal(faults, []);
  assert.equal(
    blocks.map(({ line, language, text, file, reason, slow }) => [line, language, text, file, reason, slow]),
    [
      [3, "sh", "one\ntwo", undefined, undefined, undefined],
      [7, "html", "```", "a/b.html", "it is long", undefined],
      [10, "ts", "", undefined, undefined, "it fits"],
    ],
  );
});

test("what would never be run is a fault, not passed by", () => {
  const fault = (...lines: string[]) => page(...lines).faults.join("\n");
  assert.match(fault("```bash", "ls", "```"), /page\.md:1: the language "bash"/);
  assert.match(fault("", "```sh norun:", "ls", "```"), /page\.md:2: norun: without a reason/);
  assert.match(fault("", "```sh slow:", "ls", "```"), /page\.md:2: slow: without a reason/);
  assert.match(fault("```sh", "ls"), /page\.md:1: the fence is never closed/);
  assert.match(fault("", "    npx sluice info"), /page\.md:2: a command outside/);
  assert.match(fault("```html", "<p>", "```"), /page\.md:1: an html block needs/);
});

test("blocks without imports go on with the program before, at the lines of their page", () => {
  const { blocks } = page("```ts", 'import "a";', "```", "", "```ts", "more();", "```", "```ts", 'import "b";', "```");
  const programs = programsOf(blocks);
  assert.equal(
    programs.map((program) => program.map(({ line }) => line)),
    [[2, 6], [9]],
  );
  assert.equal(atItsLines(programs[0] ?? []).split("\n")[5], "more();");
});

test("the example of a module's comment is a block", () => {
  const module = ["/**", " * Adds.", " *", " * @example", ' * import "a";', " * b();", " */", "export {};"].join("\n");
  assert.equal(
    readPage("src/a.ts", module).blocks.map(({ line, text }) => [line, text]),
    [[5, 'import "a";\nb();']],
  );
});

test("headings have the anchors that GitHub gives them", () => {
  const anchors = anchorsOf(
    "# `neuron_scale`, *and* more\n## Twice\n## Twice\n```\n# no heading\n```\n### [A link](b.md)!",
  );
  assert.equal([...anchors], ["neuron_scale-and-more", "twice", "twice-1", "a-link"]);
});

test("a link that leads nowhere is found, one in code is none", async () => {
  const a = '[b](b/b.md) [c](b/b.md#there) [d](b/b.md#gone)\n[e](gone.md) `[f](gone.md)`\n<img src="gone.png">';
  const b = "## There\n[up](../a.md) [out](../../a.md) [web](https://example.org/x)";
  await inFolder(async (folder) => {
    await mkdir(join(folder, "b"));
    await Promise.all([writeFile(join(folder, "a.md"), a), writeFile(join(folder, "b/b.md"), b)]);
    assert.equal(
      brokenLinks(folder, ["a.md", "b/b.md"]).map((fault) => fault.split(":").slice(0, 2).join(":")),
      ["a.md:1", "a.md:2", "a.md:3", "b/b.md:2"],
    );
  });
});

test("every link of the repository's pages leads to a file or heading", () => {
  assert.equal(brokenLinksBelow(root), []);
});

test.run();
