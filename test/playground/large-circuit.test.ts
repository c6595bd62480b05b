/** A circuit of 11,611 edges in the page: found, pointed at, cut, and the pointer never waits for the drawing. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root } from "../run-files.ts";
import { inFolder } from "../support/folder.ts";
import { sharedVisit, visit } from "./site.ts";

test("a circuit as large as GPT-2's is searched and cut", async () => {
  await inFolder(async (parent) => {
    const folder = join(parent, "narrow");
    await promisify(execFile)(process.execPath, [
      join(root, "scripts/make-synthetic.mjs"),
      folder,
      "--shape",
      "gpt2-narrow",
    ]);
    const { site, browser } = await sharedVisit();
    const { page, faults, context } = await visit(browser, site.url);
    try {
      await page.locator("input[type=file][webkitdirectory]").setInputFiles(folder);
      const refusal = page.getByRole("alert");
      await page.locator(".model-line", { hasText: "narrow" }).or(refusal).first().waitFor();
      assert.equal(await refusal.allTextContents(), []);
      await page.getByRole("tab", { name: "Circuit", exact: true }).click();
      await page.getByText("0 of 11611 edges cut").waitFor();
      const circuit = page.getByRole("application", { name: "Circuit" });
      const box = await circuit.boundingBox();
      assert.ok(box);
      // Somewhere in the middle there is an edge, and to point at it names it.
      await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
      const pointedAt = page.locator(".circuit-hover strong");
      assert.match((await pointedAt.textContent()) ?? "", /^(embed|blocks\.\d+\.\S+) → (blocks\.\d+\.\S+|logits)$/);
      await page.getByRole("searchbox", { name: "Find edges" }).fill("blocks.3.head.7 → blocks.9.mlp");
      await page.getByText("1 shown").waitFor();
      await circuit.focus();
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("Enter");
      await page.getByText("1 of 11611 edges cut").waitFor();
      assert.match((await page.locator("#circuit-cut").textContent()) ?? "", /blocks\.3\.head\.7 → blocks\.9\.mlp/);
      assert.equal(faults, []);
    } finally {
      await context.close();
    }
  });
});

test.run();
