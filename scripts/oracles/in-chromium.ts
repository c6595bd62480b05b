/** The cases of the matrix in a page, on Chromium's SwiftShader. */
import { once } from "node:events";
import { openTestPage } from "../../test/page/open.ts";
import { openChromium, UNCHECKED } from "../../test/support/chromium.ts";
import type { CaseResult } from "./engine.ts";
import type { OracleModel } from "./files.ts";

const scriptFor = (every: number): string => `
  import { openAdapter } from "./src/gpu/node.ts";
  import { runModel } from "./scripts/oracles/engine.ts";
  try {
    const { adapter } = await openAdapter({});
    const { vendor, architecture, device, description } = adapter.info;
    await finish({ adapter: [vendor, architecture, device, description].filter(Boolean).join(" ") });
    for (let model = await nextModel(); model; model = await nextModel()) await report(await runModel(model, ${every}));
    await finish({});
  } catch (error) {
    await finish({ error: String(error.stack) });
  }
`;

export interface InChromium {
  readonly results: readonly CaseResult[];
  readonly adapter: string;
  readonly version: string;
}

/** Runs models' cases in one page, of sweeps one in so many. @throws what went wrong in it */
export async function runInChromium(models: readonly OracleModel[], every: number): Promise<InChromium> {
  const browser = await openChromium([`--${UNCHECKED}`]);
  const results: CaseResult[] = [];
  const waiting = [...models];
  let adapter = "";
  try {
    const finished = new EventTarget();
    const done = once(finished, "finish");
    const { close } = await openTestPage(browser, scriptFor(every), async (page, readable) => {
      const end = (error?: string) => finished.dispatchEvent(new CustomEvent("finish", { detail: error }));
      page.on("pageerror", (error) => end(readable(error.stack ?? error.message)));
      page.on("crash", () => end("The page crashed."));
      await page.exposeFunction("nextModel", () => waiting.shift() ?? null);
      await page.exposeFunction("report", (found: readonly CaseResult[]) => void results.push(...found));
      await page.exposeFunction("finish", ({ adapter: name, error }: { adapter?: string; error?: string }) => {
        if (name === undefined) end(error && readable(error));
        else adapter = name;
      });
    });
    const [{ detail: error }] = (await done) as [CustomEvent<string | null>];
    await close();
    if (error !== null) throw new Error(`In Chromium: ${error}`);
    return { results, adapter, version: browser.version() };
  } finally {
    await browser.close();
  }
}
