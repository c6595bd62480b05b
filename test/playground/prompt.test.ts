/** The playground's first room in a real browser: generate, stop, edit, move sliders, share. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { packed } from "../../playground/src/steer/packed-text.ts";
import { root } from "../run-files.ts";
import { load } from "../support/load.ts";
import { pushBundle } from "./push-bundle.ts";
import {
  addPush,
  copyLink,
  freshPrompt,
  generate,
  meanwhile,
  pasteLink,
  type Site,
  sharedVisit,
  slide,
  slider,
  tokensOf,
  type Visit,
  visit,
} from "./site.ts";

let site: Site;
let browser: Browser;
let visited: Visit;

test.before(async () => {
  ({ site, browser, visited } = await sharedVisit());
  await freshPrompt(visited.page, "stories260K");
});

test("a small model says what the library says", async () => {
  const { page } = visited;
  assert.is(await page.getByText("Recorded run.").count(), 0);
  await page.getByRole("textbox", { name: "Prompt" }).fill("Once upon a time");
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("12");
  await page.getByRole("spinbutton", { name: "Temperature" }).fill("0");
  await generate(page);
  const model = await load(join(root, "weights/stories260K"), { plan: "reference" });
  const { text } = await model.generate("Once upon a time", { maxNewTokens: 12, temperature: 0 }).result();
  model.dispose();
  assert.is((await tokensOf(page, "Plain")).join(""), text);
});

test("a run stops", async () => {
  const { page } = visited;
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("200");
  const stop = { tokens: 5, on: page.getByRole("button", { name: "Stop", exact: true }) };
  await meanwhile(page.getByRole("region", { name: "Plain" }), [stop], () =>
    page.getByRole("button", { name: "Generate" }).click(),
  );
  await page.getByText("Stopped.").waitFor();
  assert.ok((await tokensOf(page, "Plain")).length < 200);
});

test("a bundle's stage has sliders and a switch, and acts", async () => {
  const { page } = visited;
  await addPush(page, (await pushBundle()).bytes);
  const group = page.getByRole("group", { name: "push", exact: true });
  await group.getByRole("slider", { name: "Strength" }).waitFor();
  assert.ok(await group.getByRole("switch", { name: "On" }).isChecked());
  await page.getByRole("textbox", { name: "Prompt" }).fill("The king said");
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("12");
  await slide(page, "push", "Alpha", 2);
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
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("120");
  await slide(page, "push", "Alpha", 0);
  await generate(page);
  const still = await tokensOf(page, "Edited");
  const move = { tokens: 4, on: slider(page, "push", "Alpha"), value: 4 };
  await meanwhile(page.getByRole("region", { name: "Edited" }), [move], () => generate(page));
  const moved = await tokensOf(page, "Edited");
  const parted = moved.findIndex((text, i) => text !== still[i]);
  assert.ok(parted > 3, `they part at token ${parted}`);
  assert.ok(parted < 120);
});

test("a link gives the same tokens", async () => {
  const { page } = visited;
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("12");
  await slide(page, "push", "Alpha", 1.5);
  await page.getByRole("spinbutton", { name: "Temperature" }).fill("0.8");
  await generate(page);
  const link = await copyLink(page);
  const before = [await tokensOf(page, "Plain"), await tokensOf(page, "Edited")];
  await slide(page, "push", "Alpha", 0);
  await page.getByRole("textbox", { name: "Prompt" }).fill("The dog");
  await generate(page);
  assert.is.not((await tokensOf(page, "Plain")).join(), before[0]?.join());
  await pasteLink(page, link);
  assert.equal([await tokensOf(page, "Plain"), await tokensOf(page, "Edited")], before);
});

test("a link opens its model for a visitor who was never here", async () => {
  const shared = {
    ...{ v: 1, model: "gpt-nano-sort", prompt: "2 0 1 1 0 2", chat: false, device: "", bundles: [], stages: [] },
    sampling: { temperature: 0, seed: 5, maxNewTokens: 5 },
    tokens: { plain: [0, 0, 1, 1, 2], edited: [0, 0, 1, 1, 2] },
  };
  const { page, faults, context } = await visit(browser, `${site.url}#s=${await packed(JSON.stringify(shared))}`);
  await page.getByText("the same tokens as when it was made").waitFor();
  assert.is((await tokensOf(page, "Plain")).join(""), " 0 0 1 1 2");
  assert.equal(faults, []);
  await context.close();
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
