/** The pages of the documentation run as printed, but for what is slow; their links are checked without a package too. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { brokenLinksBelow, readPages } from "../../scripts/docs/pages.ts";
import { compilePrograms, type Programs } from "../../scripts/docs/programs.ts";
import { openReader, type Reader } from "../../scripts/docs/reader.ts";
import { runPage } from "../../scripts/docs/run-page.ts";
import { installPacked } from "../../scripts/packed.ts";

const pages = readPages();
let reader: Reader;
let programs: Programs;

test.before(async () => {
  reader = await openReader();
  programs = await compilePrograms(reader, pages);
});

test("links lead somewhere in the package", async () => {
  const { folder } = await installPacked();
  assert.equal(brokenLinksBelow(join(folder, "node_modules/sluice")), []);
});

for (const page of pages) {
  test(`${page.path} runs as printed`, async () => {
    const faults = [...page.faults];
    await runPage(reader, page, programs, { slow: false }, ({ block, fault }) => {
      if (fault !== undefined) faults.push(`${block.page}:${block.line}: ${fault}`);
    });
    assert.is(faults.join("\n"), "");
  });
}

test.run();
