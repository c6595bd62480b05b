/** The pages of the documentation run as printed, but for what is slow; their links are checked without a package too. */
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { brokenLinksBelow, readPages } from "../../scripts/docs/pages.ts";
import { openReader, type Reader } from "../../scripts/docs/reader.ts";
import { runPage } from "../../scripts/docs/run-page.ts";
import { installPacked } from "../../scripts/packed.ts";

let reader: Reader;

test.before(async () => {
  reader = await openReader();
});

test("links lead somewhere in the package", async () => {
  const { folder } = await installPacked();
  assert.equal(brokenLinksBelow(join(folder, "node_modules/sluice")), []);
});

for (const page of readPages()) {
  test(`${page.path} runs as printed`, async () => {
    const faults = [...page.faults];
    await runPage(reader, page, { slow: false }, ({ block, fault }) => {
      if (fault !== undefined) faults.push(`${block.page}:${block.line}: ${fault}`);
    });
    assert.is(faults.join("\n"), "");
  });
}

test.run();
