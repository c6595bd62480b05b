/** The playground's first room in a real browser: open, generate, stop, edit, move sliders, share. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { root } from "../run-files.ts";
import { readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { generate, openSmall, type Site, sharedVisit, slide, tokensOf, type Visit, visit } from "./site.ts";

let site: Site;
let browser: Browser;
let visited: Visit;

test.before(async () => {
  ({ site, browser, visited } = await sharedVisit());
  await visited.page.getByRole("tab", { name: "Steer", exact: true }).click();
});

test("the first screen shows a run, and says that it is recorded", async () => {
  const { page, context, faults } = await visit(browser, site.url);
  await page.getByText("Recorded run.").waitFor();
  const recorded = await readJson<{ plain: { text: string }[] }>("playground/shelf/recorded.json");
  assert.equal(
    await tokensOf(page, "Plain"),
    recorded.plain.map(({ text }) => text),
  );
  assert.equal(faults, []);
  await context.close();
});

test("a small model opens and says what the library says", async () => {
  const { page } = visited;
  await openSmall(page, "gpt2-stories");
  assert.is(await page.getByText("Recorded run.").count(), 0);
  await page.getByRole("textbox", { name: "Prompt" }).fill("Once upon a time");
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("12");
  await page.getByRole("spinbutton", { name: "Temperature" }).fill("0");
  await generate(page);
  const model = await load(join(root, "weights/gpt2-stories"));
  const { text } = await model.generate("Once upon a time", { maxNewTokens: 12, temperature: 0 }).result();
  model.dispose();
  assert.is((await tokensOf(page, "Plain")).join(""), text);
});

test("a run stops", async () => {
  const { page } = visited;
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("200");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.getByRole("region", { name: "Plain" }).locator(".token").nth(5).waitFor();
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await page.getByText("Stopped.").waitFor();
  assert.ok((await tokensOf(page, "Plain")).length < 200);
});

test("a bundle's stage has sliders and a switch, and acts", async () => {
  const { page } = visited;
  await page.getByLabel("Add bundle").setInputFiles(join(root, "playground/shelf/shakespeare-ace.safetensors"));
  const group = page.getByRole("group", { name: "shakespeare", exact: true });
  await group.getByRole("slider", { name: "Strength" }).waitFor();
  assert.ok(await group.getByRole("switch", { name: "On" }).isChecked());
  await page.getByRole("textbox", { name: "Prompt" }).fill("The king said");
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("12");
  await slide(page, "shakespeare", "Alpha", 2);
  await generate(page);
  const [plain, edited] = [await tokensOf(page, "Plain"), await tokensOf(page, "Edited")];
  assert.is(plain.length, 12);
  assert.is.not(plain.join(), edited.join());
  // Off, the edited model is the plain one.
  await group.getByRole("switch", { name: "On" }).click();
  await generate(page);
  assert.equal(await tokensOf(page, "Edited"), await tokensOf(page, "Plain"));
  await group.getByRole("switch", { name: "On" }).click();
});

test("a token tells how likely both models held it", async () => {
  const { page } = visited;
  await generate(page);
  await page.getByRole("region", { name: "Edited" }).locator(".token[data-heat]").first().waitFor();
  await page.getByText("KL", { exact: false }).first().waitFor();
  await page.getByRole("region", { name: "Edited" }).locator(".token").nth(2).click();
  const token = page.getByRole("region", { name: "Token", exact: true });
  await token
    .getByText(/rank \d/)
    .first()
    .waitFor();
  assert.match((await token.textContent()) ?? "", /nats apart/);
  assert.ok((await token.getByRole("row").count()) > 4);
});

test("a slider acts on the next token in the middle of a run", async () => {
  const { page } = visited;
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("60");
  await slide(page, "shakespeare", "Alpha", 0);
  await generate(page);
  const still = await tokensOf(page, "Edited");
  const started = page.getByRole("region", { name: "Edited" }).locator(".token");
  await page.getByRole("button", { name: "Generate" }).click();
  await started.nth(3).waitFor();
  await slide(page, "shakespeare", "Alpha", 4);
  await page.getByText("Done.", { exact: true }).waitFor();
  const moved = await tokensOf(page, "Edited");
  const parted = moved.findIndex((text, i) => text !== still[i]);
  assert.ok(parted > 3, `they part at token ${parted}`);
  assert.ok(parted < 60);
});

test("a link gives another visitor the same tokens", async () => {
  const { page } = visited;
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("12");
  await slide(page, "shakespeare", "Alpha", 1.5);
  await page.getByRole("spinbutton", { name: "Temperature" }).fill("0.8");
  await generate(page);
  await page.getByRole("button", { name: "Copy link" }).click();
  await page.waitForURL(/#s=/);
  const other = await visit(browser, page.url());
  await other.page.getByText("the same tokens as when it was made").waitFor();
  assert.equal(await tokensOf(other.page, "Edited"), await tokensOf(page, "Edited"));
  assert.equal(await tokensOf(other.page, "Plain"), await tokensOf(page, "Plain"));
  assert.equal(other.faults, []);
  await other.context.close();
});

test("a bundle of another model is refused in words", async () => {
  const { page } = visited;
  await page.getByLabel("Add bundle").setInputFiles(join(root, "playground/shelf/sort-circuit.safetensors"));
  await page.getByRole("alert").filter({ hasText: "sort-circuit" }).waitFor();
  assert.is(await page.getByRole("group", { name: "circuit" }).count(), 0);
  await page.getByLabel("Add bundle").setInputFiles({
    name: "notes.safetensors",
    mimeType: "application/octet-stream",
    buffer: Buffer.from(await readFile(join(root, "README.md"))),
  });
  await page.getByRole("alert").filter({ hasText: "notes.safetensors" }).waitFor();
});

test("nothing was asked of another host, and nothing failed unseen", () => {
  assert.equal(visited.faults, []);
});

test.run();
