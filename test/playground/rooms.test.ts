/** The other rooms of the playground in a real browser: fit, circuit, look, measure. */
import { readFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors } from "../../src/index.ts";
import { freshPrompt, openSmall, sharedVisit, type Visit } from "./site.ts";

let visited: Visit;

test.before(async () => {
  ({ visited } = await sharedVisit());
  await freshPrompt(visited.page, "stories260K");
});

const room = (name: string) => visited.page.getByRole("tab", { name, exact: true }).click();

test("two lists become a bundle that can be downloaded and used", async () => {
  const { page } = visited;
  await room("Fit");
  await page
    .getByRole("textbox", { name: "Positive" })
    .fill("The sun was warm.\nHe was happy.\nThey all laughed.\nWhat a fun day!");
  await page
    .getByRole("textbox", { name: "Negative" })
    .fill("The rain was cold.\nHe was sad.\nThey all cried.\nWhat a bad day!");
  await page.getByRole("combobox", { name: "Method" }).selectOption("ace");
  await page.getByRole("button", { name: "Fit", exact: true }).click();
  const link = page.getByRole("link", { name: "Download bundle" });
  await link.waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  const file = parseSafetensors(new Uint8Array(await readFile(await download.path())));
  assert.is(file.metadata.get("format"), "sluice.interventions/1");
  await page.getByText("Cost on negative sentences").waitFor();
  await page.getByRole("button", { name: "Use it" }).click();
  await page.getByRole("group", { name: "ace_resid_post", exact: true }).waitFor();
});

test("a prompt is looked at from the inside", async () => {
  const { page } = visited;
  await room("Look");
  await page.getByRole("textbox", { name: "Text" }).fill("Once upon a time");
  await page.getByRole("button", { name: "Look", exact: true }).click();
  const lens = page.getByRole("region", { name: "Logit lens" });
  await lens.waitFor();
  // A row for the head of the table, the embedding, and each of five layers.
  assert.is(await lens.getByRole("row").count(), 7);
  assert.is(await page.getByRole("button", { name: /^Head \d+$/ }).count(), 8);
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download captures" }).click(),
  ]);
  const { tensors } = parseSafetensors(new Uint8Array(await readFile(await download.path())));
  assert.ok(tensors.has("resid_post.4"));
});

test("the circuit of sorting breaks while edges are cut, and mends", async () => {
  const { page } = visited;
  await openSmall(page, "gpt-nano-sort");
  await room("Circuit");
  await page.getByText("0 of 82 edges cut").waitFor();
  // In three parts; what is cut meanwhile counts from the next part on.
  await page.getByText(/^(?:243 of 243|486 of 486|729 of 729) inputs sorted$/).waitFor();
  await page.getByRole("searchbox", { name: "Find edges" }).fill("blocks.2.mlp → logits");
  const circuit = page.getByRole("application", { name: "Circuit" });
  await circuit.focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await page.getByText("1 of 82 edges cut").waitFor();
  assert.match((await page.locator("#circuit-cut").textContent()) ?? "", /blocks\.2\.mlp → logits/);
  await page.waitForFunction(
    () => {
      const text = document.querySelector("section[aria-label=Sorting] output")?.textContent ?? "";
      const [right = 0, done = 0] = text.match(/\d+/g)?.map(Number) ?? [];
      return right < done;
    },
    undefined,
    { polling: 100 },
  );
  await page.getByRole("button", { name: "Restore all" }).click();
  await page.getByText("729 of 729 inputs sorted").waitFor();
});

test("the device is measured, and the report saved", async () => {
  const { page } = visited;
  await room("Measure");
  // What the comparison says is tested where it is made; here it would compile for a minute.
  await page.getByRole("combobox", { name: "Compare with the CPU" }).selectOption("none");
  await page.getByRole("button", { name: "Run", exact: true }).click();
  const link = page.getByRole("link", { name: "Save report" });
  await link.waitFor({ timeout: 240_000 });
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  const report = JSON.parse(await readFile(await download.path(), "utf8"));
  assert.is(report.schema, 1);
  assert.match(report.user_agent, /Chrome/);
  assert.ok(report.bench.decode_tokens_per_s > 0);
  assert.ok(report.adapter.limits.maxBufferSize > 0);
  await page.getByRole("region", { name: "Flame chart" }).waitFor();
});

test("nothing was asked of another host, and nothing failed unseen", () => {
  assert.equal(visited.faults, []);
});

test.run();
