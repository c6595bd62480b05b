/** The playground's chat: many turns with both models at once, each with its own history. */
import { join } from "node:path";
import type { Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model } from "../../src/index.ts";
import { root } from "../run-files.ts";
import { load } from "../support/load.ts";
import { pushBundle } from "./push-bundle.ts";
import {
  addPush,
  copyLink,
  freshPrompt,
  meanwhile,
  pasteLink,
  sharedVisit,
  slider,
  tokensOf,
  type Visit,
} from "./site.ts";

let visited: Visit;

test.before(async () => {
  ({ visited } = await sharedVisit());
  await freshPrompt(visited.page, "stories260K");
});

const OPENING = "Once upon a time";

/** Types a message, and sends it by the Enter key. */
async function say(page: Page, text: string): Promise<void> {
  await page.getByRole("textbox", { name: "Prompt" }).fill(text);
  await page.keyboard.press("Enter");
  await page.locator(".message", { hasText: text }).first().waitFor();
  await page.getByText("Done.", { exact: true }).waitFor();
}

/** Text of the answers of a side, one per turn. */
function answersOf(page: Page, side: "Plain" | "Edited"): Promise<string[]> {
  return page.getByRole("region", { name: side, exact: true }).locator(".answer .said").allTextContents();
}

/** A conversation in the library: the answers to both messages. */
async function conversation(model: Model, messages: readonly string[]): Promise<string[]> {
  const said: { role: string; content: string }[] = [];
  const answers: string[] = [];
  for (const content of messages) {
    said.push({ role: "user", content });
    const text = model.tokenizer?.applyChatTemplate(said, { addGenerationPrompt: true }) ?? "";
    const ids = model.tokenizer?.encode(text, { addSpecialTokens: false }) ?? [];
    const { text: answer } = await model.generate(ids, { maxNewTokens: 8 }).result();
    said.push({ role: "assistant", content: answer ?? "" });
    answers.push(answer ?? "");
  }
  return answers;
}

test("each side goes on with what it said itself", async () => {
  const { page } = visited;
  const { bundle, bytes } = await pushBundle();
  await addPush(page, bytes);
  await page.getByRole("radio", { name: "Chat" }).check();
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("8");
  await page.getByRole("spinbutton", { name: "Temperature" }).fill("0");
  await say(page, OPENING);
  await say(page, "Then the dog");
  const model = await load(join(root, "weights/stories260K"), { plan: "reference" });
  assert.equal(await answersOf(page, "Plain"), await conversation(model, [OPENING, "Then the dog"]));
  assert.equal(await answersOf(page, "Edited"), await conversation(model.with([bundle]), [OPENING, "Then the dog"]));
  assert.is.not((await answersOf(page, "Edited")).join(), (await answersOf(page, "Plain")).join());
  model.dispose();
});

test("tokens of earlier turns are buttons too", async () => {
  const { page } = visited;
  const first = page.getByRole("region", { name: "Edited", exact: true }).locator(".answer").first();
  await first.locator(".token").nth(1).click();
  const token = page.getByRole("region", { name: "Token", exact: true });
  await token.getByText("turn 1").waitFor();
  await token.getByText("nats apart").waitFor();
});

test("a slider acts on the next token of an answer, and Stop keeps what was said", async () => {
  const { page } = visited;
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("200");
  const box = page.getByRole("textbox", { name: "Prompt" });
  await box.fill("One day");
  await box.press("Shift+Enter");
  assert.is(await box.inputValue(), "One day\n");
  const side = page.getByRole("region", { name: "Edited", exact: true });
  const deeds = [
    { tokens: 4, on: slider(page, "push", "Alpha"), value: -2 },
    { tokens: 5, on: page.getByRole("button", { name: "Stop", exact: true }) },
  ];
  await meanwhile(side, deeds, () => box.press("Enter"));
  const last = side.locator(".answer").nth(2);
  await page.getByText("Stopped.").waitFor();
  assert.match((await last.textContent()) ?? "", /stopped.*a slider moved/);
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("8");
  await say(page, "And so");
});

test("a link brings the chat back, what cannot be drawn again as it was", async () => {
  const { page } = visited;
  const link = await copyLink(page);
  const before = await Promise.all([answersOf(page, "Plain"), answersOf(page, "Edited")]);
  assert.is(before[0]?.length, 4);
  await page.getByRole("button", { name: "New chat" }).click();
  await page.getByRole("button", { name: "Remove push" }).click();
  assert.equal(await answersOf(page, "Plain"), []);
  await pasteLink(page, link);
  assert.equal(await Promise.all([answersOf(page, "Plain"), answersOf(page, "Edited")]), before);
});

test("the last answer is drawn again, and the others stay", async () => {
  const { page } = visited;
  await page.getByRole("spinbutton", { name: "Temperature" }).fill("1");
  const before = await answersOf(page, "Plain");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.getByText("Done.", { exact: true }).waitFor();
  const after = await answersOf(page, "Plain");
  assert.is(after.length, before.length);
  assert.equal(after.slice(0, -1), before.slice(0, -1));
  assert.is.not(after.at(-1), before.at(-1));
});

test("a full context is told, and the chat goes on", async () => {
  const { page } = visited;
  await page.getByRole("button", { name: "Remove push" }).click();
  await page.getByRole("button", { name: "New chat" }).click();
  assert.equal(await tokensOf(page, "Plain"), []);
  await say(page, "The dog ran to the big tree. ".repeat(30).trim());
  await say(page, "The cat ran to the old house. ".repeat(30).trim());
  const plain = page.getByRole("region", { name: "Plain", exact: true });
  await plain.getByText("The context of 512 tokens is full").waitFor();
  const long = "The bird sang a song to them all. ".repeat(60);
  await page.getByRole("textbox", { name: "Prompt" }).fill(long);
  await page.getByRole("button", { name: "Generate" }).click();
  await page.getByRole("alert").filter({ hasText: "of 512 tokens of context" }).waitFor();
  assert.is(await page.getByRole("textbox", { name: "Prompt" }).inputValue(), long);
  assert.equal(visited.faults, []);
});

test.run();
