/** Hub models in Chromium: kept in its own storage, resumed after a reload, used without the hub, shared between tabs. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { CachedModel, LoadOptions } from "../../src/index.ts";
import { type ServedPage, serveTestPage } from "../page/open.ts";
import { openChromium, UNCHECKED } from "../support/chromium.ts";
import { location } from "../support/files.ts";
import { FakeHub } from "../support/hub-server.ts";
import { NEW, noise } from "./node-fixtures.ts";

const MODEL = "org/stories";

/** What runs in the pages: the library, on one device a page, and an account of what it reports. */
const SCRIPT = `
  import * as sluice from "./src/index.ts";
  import { load } from "./test/support/load.ts";
  globalThis.sluice = sluice;
  globalThis.events = [];
  globalThis.notices = [];
  globalThis.text = async (name, options, isRun = true) => {
    const model = await load(name, {
      ...options,
      onProgress: (event) => events.push(event),
      onNotice: (line) => notices.push(line),
    });
    try {
      return !isRun ? "loaded" : (await model.generate("Once upon a time", { maxNewTokens: 8, temperature: 0 }).result()).text;
    } finally {
      model.dispose();
    }
  };
  globalThis.codeOf = (work) => work().then(() => "", (error) => error.code + ": " + error.message);
  globalThis.ready = true;`;

let hub: FakeHub;
let served: ServedPage;
let browser: Browser;
let context: BrowserContext;
/** Of the weights. */
let digest = "";

test.before(async () => {
  const folder = location("weights/stories260K");
  const names = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"];
  const files: Record<string, Uint8Array> = { "pytorch_model.bin": noise(5000) };
  for (const name of names) {
    const bytes = await readFile(join(folder, name)).catch(() => null);
    if (bytes) files[name] = new Uint8Array(bytes);
  }
  digest = createHash("sha256")
    .update(files["model.safetensors"] as Uint8Array)
    .digest("hex");
  hub = await FakeHub.start({ [MODEL]: { commits: [{ sha: NEW, files }] } });
  served = await serveTestPage(SCRIPT);
  browser = await openChromium([`--${UNCHECKED}`]);
});

test.before.each(async () => {
  hub.misbehaviour = {};
  hub.requests.length = 0;
  context = await browser.newContext();
});

test.after.each(() => context.close());

test.after(async () => {
  await browser.close();
  await served.close();
  await hub.stop();
});

async function openPage(): Promise<Page> {
  const page = await context.newPage();
  await visit(page);
  return page;
}

async function visit(page: Page): Promise<void> {
  await page.goto(served.url);
  await page.waitForFunction("globalThis.ready", undefined, { polling: 50 });
}

function text(page: Page, options: LoadOptions = {}, name = MODEL): Promise<string> {
  const given = JSON.stringify({ hub: { endpoint: hub.url }, ...options });
  return page.evaluate<string>(`text(${JSON.stringify(name)}, ${given})`);
}

/** Loads a model and runs nothing, for which kernels would be compiled. */
async function isLoaded(page: Page, options: LoadOptions = {}): Promise<boolean> {
  const given = JSON.stringify({ hub: { endpoint: hub.url }, ...options });
  return (await page.evaluate<string>(`text(${JSON.stringify(MODEL)}, ${given}, false)`)) === "loaded";
}

/** Loads without asking anybody, and compares the bytes that the browser keeps. */
async function isKept(page: Page): Promise<boolean> {
  const options = JSON.stringify({ hub: { endpoint: hub.url, offline: true } });
  const kept = await evaluate<string>(page, `sluice.weightsDigestOf(${JSON.stringify(MODEL)}, ${options})`);
  return kept === digest && (await isLoaded(page, { hub: { offline: true } }));
}

const evaluate = <T>(page: Page, code: string) => page.evaluate<T>(code);
const weightsFetched = () => hub.asked(/path=model\.safetensors/).filter(({ method }) => method === "GET");

test("a model by its name, kept for when the hub is gone, listed and removed", async () => {
  const page = await openPage();
  const expected = await evaluate<string>(page, `text("/weights/stories260K")`);
  assert.ok(expected.length > 10);
  await evaluate(page, "events.length = 0");
  assert.is(await text(page), expected);
  const download = await evaluate<{ done: number; total: number; files: { path: string; total: number }[] }>(
    page,
    `events.filter(({ phase }) => phase === "download").at(-1).download`,
  );
  assert.is(download.done, download.total);
  assert.ok(download.files.some(({ path, total }) => path === "model.safetensors" && total > 1e6));
  assert.is(hub.asked(/pytorch_model/).length, 0);

  await visit(page);
  hub.misbehaviour = { html: "*" };
  hub.requests.length = 0;
  assert.ok(await isLoaded(page), "without the hub");
  assert.ok(await isLoaded(page, { hub: { endpoint: "http://127.0.0.1:9" } }), "without a network");
  assert.ok(await isKept(page), "when nobody is to be asked");

  const [model, ...others] = await evaluate<CachedModel[]>(page, "sluice.listModels()");
  assert.equal(others, []);
  assert.is(model?.repo, MODEL);
  assert.ok(model && model.bytes > 1e6 && model.partialBytes === 0);
  assert.equal(
    model?.revisions.map(({ commit, refs }) => [commit, refs]),
    [[NEW, ["main"]]],
  );
  assert.is(await evaluate(page, `sluice.removeModel(${JSON.stringify(MODEL)})`), model?.bytes);
  assert.equal(await evaluate(page, "sluice.listModels()"), []);
  assert.match(await evaluate(page, `codeOf(() => sluice.removeModel("org/other"))`), /^not_found/);
});

test("after a reload in the middle the rest is fetched", async () => {
  const page = await openPage();
  hub.misbehaviour = { rate: 400_000 };
  const unfinished = isLoaded(page).catch(() => undefined);
  await page.waitForFunction(
    `events.some(({ download }) => download?.files.some(({ path, done }) => path === "model.safetensors" && done > 4e5))`,
    undefined,
    { polling: 100 },
  );
  // What has come is written twice a second.
  await page.waitForTimeout(800);
  await visit(page);
  await unfinished;
  hub.misbehaviour = {};
  hub.requests.length = 0;
  assert.ok(await isLoaded(page));
  const ranges = weightsFetched().map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]));
  assert.is(ranges.length, 1);
  assert.ok((ranges[0] ?? 0) > 2e5, `it begins at byte ${ranges[0]}`);
  assert.ok(await isKept(page));
});

test("a lost connection is taken up again, and what is wrong is thrown away", async () => {
  const page = await openPage();
  // Slow enough for the page to have written something: what it had not read when the connection ended is lost.
  hub.misbehaviour = { rate: 300_000, cut: { path: "model.safetensors", after: 600_000, times: 1 } };
  assert.ok(await isLoaded(page));
  hub.misbehaviour = {};
  assert.equal(
    weightsFetched().map(({ range }) => range !== undefined),
    [false, true],
  );
  await evaluate(page, `sluice.removeModel(${JSON.stringify(MODEL)})`);
  hub.misbehaviour = { corrupt: "model.safetensors" };
  const options = JSON.stringify({ hub: { endpoint: hub.url } });
  const refusal = `codeOf(() => text(${JSON.stringify(MODEL)}, ${options}))`;
  assert.match(await evaluate<string>(page, refusal), /^bad_file: .*model\.safetensors.*thrown away/);
  hub.misbehaviour = {};
  assert.ok(await isLoaded(page));
});

test("two tabs that want one model download it once", async () => {
  hub.misbehaviour = { rate: 700_000 };
  const pages = await Promise.all([openPage(), openPage()]);
  const loads = await Promise.all(pages.map((page) => isLoaded(page)));
  assert.equal(loads, [true, true]);
  assert.is(weightsFetched().length, 1);
  const notices = await Promise.all(pages.map((page) => evaluate<string[]>(page, "notices")));
  assert.ok(notices.flat().some((line) => line.includes("waiting")));
});

test("without OPFS the Cache API keeps models", async () => {
  const page = await openPage();
  const without = "delete FileSystemFileHandle.prototype.createWritable";
  await evaluate(page, without);
  assert.ok(await isLoaded(page));
  await visit(page);
  await evaluate(page, without);
  assert.ok(await isLoaded(page, { hub: { offline: true } }));
  await evaluate(page, `sluice.removeModel(${JSON.stringify(MODEL)})`);
  assert.equal(await evaluate(page, "caches.open('sluice-models').then((cache) => cache.keys())"), []);
});

test("too little room is found before anything large is fetched", async () => {
  const page = await openPage();
  await evaluate(page, "navigator.storage.estimate = async () => ({ quota: 1e6, usage: 5e5 })");
  const options = JSON.stringify({ hub: { endpoint: hub.url } });
  const refusal = await evaluate<string>(page, `codeOf(() => text(${JSON.stringify(MODEL)}, ${options}))`);
  assert.match(refusal, /^not_written: .*no room.*0\.00 GB.*\n.*removeModel/);
  assert.is(weightsFetched().length, 0);
});

test("the token goes to the hub alone, and a folder beside the page goes first", async () => {
  const page = await openPage();
  assert.ok(await isLoaded(page, { hub: { endpoint: hub.url, token: hub.token } }));
  const tokens = (host: string) => hub.requests.filter((request) => request.host === host).map(({ token }) => token);
  assert.ok(tokens("hub").every((token) => token === `Bearer ${hub.token}`));
  assert.ok(tokens("storage").length > 0 && tokens("storage").every((token) => token === undefined));

  hub.requests.length = 0;
  // Served next to the page: its address is at the top of its server.
  assert.is(await evaluate(page, `text("weights/stories260K", {}, false)`), "loaded");
  assert.equal(hub.requests, []);
  const notices = await evaluate<string[]>(page, "notices");
  assert.ok(notices.some((line) => line.includes("hf://weights/stories260K")));
});

test.run();
