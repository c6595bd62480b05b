/** The playground with a real server in place of the browser's GPU. */
import type { Browser } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Bundle } from "../../src/index.ts";
import { type OpenServer, openServer } from "../serve/node-open-server.ts";
import { pushBundle } from "./push-bundle.ts";
import { generate, type Site, sharedVisit, slide, tokensOf, type Visit, visit } from "./site.ts";

let site: Site;
let browser: Browser;
let visited: Visit;
let open: OpenServer;
let bundle: Bundle;
let bytes: Uint8Array;

test.before(async () => {
  ({ bundle, bytes } = await pushBundle());
  ({ site, browser } = await sharedVisit());
  const { origin } = new URL(site.url);
  const bundles = new Map([["calm", bundle]]);
  open = await openServer("plain", { origins: [origin], key: "the-key", allowUploads: true, bundles });
  visited = await visit(browser, site.url);
});

test.after(async () => {
  await visited?.context.close();
  await open?.close();
});

test("it connects, with its key in memory alone, and asks nobody else", async () => {
  const { page } = visited;
  await page.getByRole("textbox", { name: "Server" }).fill(`${open.server.address}/v1/`);
  await page.getByRole("button", { name: "Connect" }).click();
  await page.getByRole("alert").filter({ hasText: "needs an API key" }).waitFor();
  await page.getByLabel("Its key").fill("the-key");
  await page.getByRole("button", { name: "Connect" }).click();
  await page.locator(".model-line", { hasText: "stories260K" }).waitFor();
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href]));
  assert.not.match(kept, /the-key/);
  await page.getByRole("tab", { name: "Look" }).click();
  await page.getByText("A server answers with texts alone").waitFor();
  await page.getByRole("tab", { name: "Steer" }).click();
});

test("plain and edited are what the library says", async () => {
  const { page } = visited;
  await page.getByRole("textbox", { name: "Prompt" }).fill("Once upon a time");
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("12");
  await page.getByRole("spinbutton", { name: "Temperature" }).fill("0");
  await page.getByRole("button", { name: "Add calm" }).click();
  await page.getByRole("group", { name: "push", exact: true }).waitFor();
  await generate(page);
  const options = { maxNewTokens: 12, temperature: 0 };
  const plain = await open.model.generate("Once upon a time", options).result();
  const edited = await open.model.with([bundle]).generate("Once upon a time", options).result();
  assert.is((await tokensOf(page, "Plain")).join(""), plain.text);
  assert.is((await tokensOf(page, "Edited")).join(""), edited.text);
  assert.is.not(plain.text, edited.text);
});

test("a token tells its probability and what else could have come", async () => {
  const { page } = visited;
  await page.getByRole("region", { name: "Edited", exact: true }).locator(".token").first().click();
  const token = page.getByRole("region", { name: "Token", exact: true });
  await token
    .getByText(/%, rank 1/)
    .first()
    .waitFor();
  assert.ok((await token.getByRole("row").count()) > 4);
});

test("a slider acts on the next run, and an uploaded bundle is one of the server's", async () => {
  const { page } = visited;
  await page.getByText("a slider acts on the next run").waitFor();
  await slide(page, "push", "Alpha", 0);
  await generate(page);
  assert.equal(await tokensOf(page, "Edited"), await tokensOf(page, "Plain"));
  await page.getByLabel("Add bundle").setInputFiles({
    name: "sent here.safetensors",
    mimeType: "application/octet-stream",
    buffer: Buffer.from(bytes),
  });
  await page.getByRole("group", { name: "b2/push", exact: true }).waitFor();
  const listed = (await (
    await fetch(`${open.server.address}/v1/bundles`, {
      headers: { authorization: "Bearer the-key" },
    })
  ).json()) as { data: { id: string }[] };
  assert.equal(
    listed.data.map(({ id }) => id),
    ["calm", "sent-here"],
  );
});

test("a chat with both, and a link to it", async () => {
  const { page } = visited;
  await slide(page, "push", "Alpha", 2);
  await page.getByRole("radio", { name: "Chat" }).check();
  await page.getByRole("spinbutton", { name: "New tokens" }).fill("8");
  await page.getByRole("spinbutton", { name: "Temperature" }).fill("0");
  for (const text of ["Once upon a time", "Then the dog"]) {
    await page.getByRole("textbox", { name: "Prompt" }).fill(text);
    await page.keyboard.press("Enter");
    await page.locator(".message", { hasText: text }).first().waitFor();
    await page.getByText("Done.", { exact: true }).waitFor();
  }
  const answers = await page.getByRole("region", { name: "Plain", exact: true }).locator(".said").allTextContents();
  const messages = [
    { role: "user" as const, content: "Once upon a time" },
    { role: "assistant" as const, content: answers[0] ?? "" },
    { role: "user" as const, content: "Then the dog" },
  ];
  const wanted = { model: "stories260K", messages, max_tokens: 8, temperature: 0 };
  const asked = await open.client.chat.completions.create(wanted);
  assert.is(answers[1], asked.choices[0]?.message.content);
  await page.getByRole("button", { name: "Copy link" }).click();
  await page.waitForURL(/#s=/);
  const { address } = open.server;
  const elsewhere = visited.faults.filter((fault) => !fault.startsWith(`request to ${address}/v1/`));
  // The browser itself tells of the refused key.
  assert.equal(
    elsewhere.filter((fault) => !fault.includes("401")),
    [],
  );
  const other = await visit(browser, page.url());
  await other.page.getByText(`of the server ${address}`).waitFor();
  assert.equal(other.faults, [], "a link asks nobody before a click");
  await other.context.close();
});

test("what cannot be reached is told, with what to do", async () => {
  const { page } = visited;
  const connect = async (address: string) => {
    await page.getByRole("textbox", { name: "Server" }).fill(address);
    await page.getByRole("button", { name: "Connect" }).click();
  };
  await connect("http://192.168.7.7:8000");
  await page.getByRole("alert").filter({ hasText: "by https, or on this machine" }).waitFor();
  await connect("localhost:9");
  await page
    .getByRole("alert")
    .filter({ hasText: `--cors ${new URL(site.url).origin}` })
    .waitFor();
});

test.run();
