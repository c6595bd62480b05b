/** Addresses that withhold files that a model can do without, and devices that cannot run any model. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { load as loadOnItsOwn, type Progress, SluiceError } from "../../src/index.ts";
import { readBytes } from "../support/files.ts";
import { load } from "../support/load.ts";

const FOLDER = "test/golden/llama-tiny";
const ADDRESS = "http://bucket.example/llama-tiny";

type Answer = (path: string) => Promise<Response>;

const ours = globalThis.fetch;
let asked: string[] = [];

/** The folder's files as an address gives them. */
const there: Answer = async (path) => {
  const bytes = await readBytes(`${FOLDER}/${path}`).catch(() => null);
  return bytes ? new Response(bytes, { headers: { "Content-Length": String(bytes.length) } }) : refused(404);
};

const refused = (status: number) => new Response("no", { status });

/** Answers for the address instead of a server. */
function serve(answer: Answer): void {
  asked = [];
  globalThis.fetch = async (input) => {
    const url = String(input);
    if (!url.startsWith(ADDRESS)) return ours(input);
    asked.push(url.slice(ADDRESS.length + 1));
    return answer(url.slice(ADDRESS.length + 1));
  };
}

test.after.each(() => {
  globalThis.fetch = ours;
});

const isNeeded = (path: string) => path === "config.json" || path.endsWith(".safetensors");

const manners: readonly (readonly [what: string, missing: Answer])[] = [
  ["403, as buckets say of what is not there", async () => refused(403)],
  ["410", async () => refused(410)],
  [
    "an answer that a page may not see",
    async () => {
      throw new TypeError("Failed to fetch");
    },
  ],
];

for (const [what, missing] of manners) {
  test(`optional files are absent after ${what}`, async () => {
    serve((path) => (isNeeded(path) ? there(path) : missing(path)));
    const notices: string[] = [];
    const model = await load(ADDRESS, { onNotice: (line) => notices.push(line) });
    assert.is((await model.logits([1, 2])).data.length, 2 * model.config.vocab_size);
    assert.is(model.tokenizer, null);
    assert.is(model.tokenizerError, null);
    const told = notices.some((line) => line.includes("tokenizer.json"));
    assert.is(told, what !== "410", `a notice where the server does not say that a file is absent: ${notices}`);
    model.dispose();
  });
}

test("a server in trouble is not taken for one without the file", async () => {
  serve((path) => (path === "generation_config.json" ? Promise.resolve(refused(500)) : there(path)));
  try {
    await load(ADDRESS);
    assert.unreachable();
  } catch (error) {
    assert.instance(error, SluiceError);
    assert.match((error as SluiceError).message, /generation_config\.json.*500/);
  }
});

test("what the model needs is not optional", async () => {
  for (const needed of ["config.json", "model.safetensors"]) {
    serve((path) =>
      path.endsWith(needed) || path.endsWith("index.json") ? Promise.resolve(refused(403)) : there(path),
    );
    try {
      await load(ADDRESS);
      assert.unreachable();
    } catch (error) {
      assert.instance(error, SluiceError);
      assert.match((error as SluiceError).message, new RegExp(`${needed}: the server refuses access \\(403`));
    }
  }
});

test("without an adapter nothing is fetched", async () => {
  serve(there);
  if (globalThis.document) Object.defineProperty(navigator, "gpu", { value: undefined, configurable: true });
  try {
    await loadOnItsOwn(ADDRESS, globalThis.document ? {} : { adapter: "no such adapter" });
    assert.unreachable();
  } catch (error) {
    assert.is((error as SluiceError).code, "no_adapter");
    assert.equal(asked, []);
  } finally {
    // The browser's own is the prototype's.
    if (globalThis.document) Reflect.deleteProperty(navigator, "gpu");
  }
});

test("progress begins with the first request", async () => {
  const events: (Progress | string)[] = [];
  serve((path) => {
    events.push(path);
    return there(path);
  });
  const model = await load(ADDRESS, { onProgress: (progress) => events.push(progress) });
  model.dispose();
  const first = events.findIndex((event) => typeof event !== "string");
  assert.equal(events[first], { phase: "open", done: 0, total: 9 });
  const phases = events.flatMap((event) => (typeof event === "string" ? [] : [event.phase]));
  assert.equal([...new Set(phases)], ["open", "upload"]);
  assert.ok(phases.lastIndexOf("open") < phases.indexOf("upload"));
});

test.run();
