/** A web page of the documentation, opened in Chromium. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { serve } from "../../test/page/server.ts";
import { sharedChromium } from "../../test/support/chromium.ts";
import type { Block } from "./blocks.ts";
import type { Outcome, Reader } from "./reader.ts";

/** A page on a software GPU compiles its kernels in this time, and says its first words. */
const LIMIT_MS = 120_000;
/** A page that has printed something and then says nothing new for this long has said all. */
const QUIET_MS = 3000;

/**
 * Writes the block as the file that it names, serves the reader's folder, and opens it. The page has to print
 * something into an `<output>`, and must not throw, log errors, or request missing files.
 */
export async function openInChromium(reader: Reader, block: Block): Promise<Outcome> {
  const file = block.file ?? "index.html";
  await writeFile(join(reader.folder, file), block.text);
  const server = await serve({
    folders: { "/": reader.folder, "/node_modules/": join(reader.folder, "../node_modules") },
  });
  const context = await (await sharedChromium()).newContext();
  try {
    const page = await context.newPage();
    const faults: string[] = [];
    page.on("pageerror", (error) => faults.push(`the page throws ${error.stack ?? error.message}`));
    page.on("console", (message) => {
      // The engine asks for files that a model may lack; the browser logs each such answer.
      const missing =
        message.text().startsWith("Failed to load resource") && message.location().url.includes("/weights/");
      if (message.type() === "error" && !missing) faults.push(`the page logs ${message.text()}`);
    });
    await page.goto(`${server.origin}/${file}`);
    const outputs = page.locator("output:not(:empty)").first();
    try {
      await Promise.race([
        outputs.waitFor({ state: "attached", timeout: LIMIT_MS }),
        page.waitForEvent("pageerror", { timeout: LIMIT_MS }),
      ]);
      for (let before = ""; faults.length === 0; ) {
        const text = (await outputs.textContent()) ?? "";
        if (text === before) break;
        before = text;
        await page.waitForTimeout(QUIET_MS);
      }
    } catch (error) {
      faults.push(`there is no text in an <output> after ${LIMIT_MS / 1000} s: ${String(error)}`);
    }
    return faults.length > 0 ? { fault: faults.join("\n") } : {};
  } finally {
    await context.close();
    await server.close();
  }
}
