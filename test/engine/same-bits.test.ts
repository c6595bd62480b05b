/** The same SwiftShader in Node and in Chromium gives the same logits, bit for bit, in one live run of both. */
import { once } from "node:events";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openTestPage } from "../page/open.ts";
import { openChromium } from "../support/chromium.ts";
import { adapterLimits, type Limits, referenceBits } from "../support/reference-bits.ts";

/** The page tells its limits, is told those that both have, and answers with its logits. */
const SCRIPT = `
  import { adapterLimits, referenceBits } from "./test/support/reference-bits.ts";
  try {
    await finish(await referenceBits(await sharedLimits(await adapterLimits())));
  } catch (error) {
    await finish({ error: String(error.stack) });
  }
`;

test("logits of the reference plan under the limits that both have", async () => {
  const own = await adapterLimits("swiftshader");
  let shared: Limits = {};
  const browser = await openChromium();
  try {
    const finished = new EventTarget();
    const done = once(finished, "finish");
    const { close } = await openTestPage(browser, SCRIPT, async (page) => {
      await page.exposeFunction("sharedLimits", (theirs: Limits) => {
        const names = Object.keys(own).filter((name) => name in theirs);
        shared = Object.fromEntries(names.map((name) => [name, Math.min(own[name] as number, theirs[name] as number)]));
        return shared;
      });
      await page.exposeFunction("finish", (bits: Readonly<Record<string, string>>) => {
        finished.dispatchEvent(new CustomEvent("finish", { detail: bits }));
      });
    });
    const [{ detail: inPage }] = (await done) as [CustomEvent<Readonly<Record<string, string>>>];
    await close();
    assert.is(inPage.error, undefined);
    const inNode = await referenceBits(shared, "swiftshader");
    assert.is(Object.keys(inNode).length, 4);
    for (const [name, bits] of Object.entries(inNode)) {
      assert.ok(bits.split(" ").length > 100, `${name} has logits`);
      assert.ok(bits === inPage[name], `${name} differs between Node and Chromium`);
    }
  } finally {
    await browser.close();
  }
});

test.run();
