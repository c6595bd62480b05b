/** The engine through a port: what a page gets equals what the library gives, and nothing queues or leaks. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { storeFloat32 } from "../../src/formats/safetensors.ts";
import * as sluice from "../../src/index.ts";
import { engineOf } from "../../src/worker/client.ts";
import { Connection } from "../../src/worker/connection.ts";
import { serveEngine } from "../../src/worker/host.ts";
import { type Engine, openEngine, SluiceError, type WorkerModel } from "../../src/worker/index.ts";
import {
  attributionMethods,
  batchFacts,
  batchMethods,
  functions,
  modelMethods,
  sessionMethods,
} from "../../src/worker/methods.ts";
import { bundleOf } from "../interventions/model-configs.ts";
import { location, readBytes } from "../support/files.ts";
import { load, sharedDevice } from "../support/load.ts";

const MODEL = "test/golden/llama-tiny";

let engine: Engine;
let served: MessagePort;
let model: WorkerModel;
let own: sluice.Model;
const heard: sluice.Progress[] = [];

async function open(): Promise<Engine> {
  const { port1, port2 } = new MessageChannel();
  served = port1;
  serveEngine(port1, { device: await sharedDevice() });
  return openEngine({ worker: port2 });
}

test.before(async () => {
  engine = await open();
  own = await load(location(MODEL), { plan: "reference" });
  model = await engine.load(location(MODEL), {
    plan: "reference",
    onProgress: (progress) => void heard.push(progress),
  });
});
test.after(() => {
  model.dispose();
  engine.dispose();
  served.close();
  own.dispose();
});

const codeOf = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call;
    return "no error";
  } catch (error) {
    return error instanceof SluiceError ? error.code : `raw: ${String(error)}`;
  }
};

/** Not for a page: needs functions called synchronously, or returns files to be read one by one. */
const LIBRARY_ONLY = [
  "SluiceError",
  "bakeModel",
  "fitUnigramClassifier",
  "importControlVector",
  "load",
  "measureInPage",
  "parseSafetensors",
  "poolResponses",
  "quantizeModel",
  "writeSafetensors",
];

test("every export of the library can be called, or is known not to be for pages", () => {
  const exported = Object.entries(sluice)
    .filter(([, value]) => typeof value === "function")
    .map(([name]) => name);
  assert.equal(exported.sort(), [...functions, ...LIBRARY_ONLY].sort());
});

test("every method can be called", async () => {
  const internal = ["constructor", "dispose", "generate", "openSequences", "plan", "withStages"];
  const methodsOf = (object: object) =>
    Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(object)))
      .filter(([name, { value }]) => typeof value === "function" && !internal.includes(name))
      .map(([name]) => name)
      .sort();
  const session = await own.session({ context: 8 });
  const attribution = await sluice.openAttribution(own, [[1, 2]]);
  assert.equal(methodsOf(own), [...modelMethods]);
  assert.equal(methodsOf(session), [...sessionMethods]);
  assert.equal(methodsOf(attribution), [...attributionMethods]);
  const batch = await own.batch({ sequences: 1, context: 8 });
  assert.equal(methodsOf(batch), [...batchMethods]);
  const fields = Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(batch)));
  const facts = fields.filter(([, { get }]) => get).map(([name]) => name);
  assert.equal(facts.sort(), [...batchFacts, "context", "sequences"].sort());
  batch.dispose();
  session.dispose();
  attribution.dispose();
});

test("a model's facts are the library's", async () => {
  assert.equal(model.config, own.config);
  assert.equal(model.sites, own.sites);
  assert.equal(model.stages, []);
  assert.equal(model.device, own.device);
  assert.ok((await model.gpuBytes) > 0);
  assert.ok(
    heard.some(({ phase, done, total }) => phase === "upload" && done === total),
    "the upload is seen to end",
  );
});

test("logits, captures, perplexity and explanations equal the library's bit for bit", async () => {
  const tokens = [1, 5, 9, 13];
  assert.equal(await model.logits(tokens), await own.logits(tokens));
  const captured = await model.capture(Uint32Array.from(tokens), ["resid_post.0"]);
  assert.equal(captured, await own.capture(tokens, ["resid_post.0"]));
  assert.equal(await model.perplexity([tokens]), await own.perplexity([tokens]));
  assert.is(await model.explain({ parts: ["graph"] }), await own.explain({ parts: ["graph"] }));
});

test("a generation is streamed, and ends as the library's", async () => {
  const options = { maxNewTokens: 100, stopTokens: [], temperature: 1, seed: 3 };
  const expected = await own.generate([1, 2, 3], options).result();
  const generation = model.generate([1, 2, 3], options);
  const tokens: number[] = [];
  for await (const { token } of generation) tokens.push(token);
  assert.equal(tokens, expected.tokens);
  assert.equal((await generation.result()).tokens, expected.tokens);
  assert.equal((await model.generate([1, 2, 3], options).result()).tokens, expected.tokens);
  assert.is(await codeOf(generation[Symbol.asyncIterator]().next()), "usage");
});

test("a running batch: requests side by side, its own bundles, and what it is doing", async () => {
  const options = { maxNewTokens: 5, stopTokens: [] };
  const direction = new Float32Array(own.config.hidden_size).fill(1);
  const bundle = bundleOf(
    own.config,
    [{ id: "push", kind: "affine", method: "addition", site: "resid_post", layers: [0] }],
    { "push.0.direction": storeFloat32(direction, [direction.length]) },
  );
  const batch = await model.batch({ sequences: 2, context: 16, envelope: { affineRank: 1 } });
  assert.equal([batch.sequences, batch.context], [2, 16]);
  await batch.addBundle("push", bundle);
  assert.equal(
    (await batch.bundles).map(({ name }) => name),
    ["push"],
  );
  const edited = batch.generate([1, 2, 3], { ...options, interventions: [{ bundle: "push" }] });
  const plain = batch.generate([1, 2, 3], options).result();
  const tokens: number[] = [];
  for await (const { token } of edited) tokens.push(token);
  assert.equal(tokens, (await own.with([bundle]).generate([1, 2, 3], options).result()).tokens);
  assert.equal((await plain).tokens, (await own.generate([1, 2, 3], options).result()).tokens);
  assert.is((await batch.stats).decode_tokens, 10);
  await batch.removeBundle("push");
  assert.is(await codeOf(batch.generate([1], { interventions: [{ bundle: "push" }] }).result()), "usage");
  batch.dispose();
  assert.is(await codeOf(batch.generate([1]).result()), "usage");
});

test("the engine waits for a page that does not take its tokens, and stops when the page does", async () => {
  let told = 0;
  const slow = await engine.load(location(MODEL), {
    onProgress: ({ phase, done }) => {
      if (phase === "decode") told = Math.max(told, done);
    },
  });
  const session = await slow.session({ context: 256 });
  for await (const _ of session.generate([1], { maxNewTokens: 250, stopTokens: [] })) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    break;
  }
  assert.ok(told < 200, `${told} tokens were made for one that was taken`);
  // The session is free at once.
  assert.is((await session.generate([1], { maxNewTokens: 1 }).result()).tokens.length, 1);
  session.dispose();
  assert.is(await codeOf(session.tokens()), "usage");
  slow.dispose();
  assert.is(await codeOf(slow.logits([1])), "usage");
});

test("an abort ends a call, before and while it runs", async () => {
  assert.is(await codeOf(model.logits([1, 2], { signal: AbortSignal.abort() })), "aborted");
  const controller = new AbortController();
  const run = async () => {
    for await (const _ of model.generate([1], { maxNewTokens: 200, stopTokens: [], signal: controller.signal })) {
      controller.abort();
    }
  };
  assert.is(await codeOf(run()), "aborted");
});

test("an error keeps its code, message, hint and field", async () => {
  const failing = [1, 2];
  const options = { site: "nowhere" };
  const errors = await Promise.all(
    [
      own.capture(failing, [options.site]),
      model.capture(failing, [options.site]),
      sluice.fitAura(own, { positive: [[1]], negative: [[2]], variant: "det0" }),
      engine.fitAura(model, { positive: [[1]], negative: [[2]], variant: "det0" }),
    ].map((call) => call.then(() => undefined).catch((error: SluiceError) => error)),
  );
  const parts = errors.map((error) => [error?.name, error?.code, error?.message, error?.hint, error?.field]);
  assert.is(parts[0]?.[0], "SluiceError");
  assert.equal(parts[1], parts[0]);
  assert.equal(parts[3], parts[2]);
});

test("stages act from the next token on, as in the library", async () => {
  const bundle = await engine.fitDirection(model, "addition", { positive: [[1, 2]], negative: [[3, 4]] });
  const edited = await model.with([bundle]);
  assert.equal(
    edited.stages.map(({ id }) => id),
    ["addition_resid_post"],
  );
  const here = await sluice.fitDirection(own, "addition", { positive: [[1, 2]], negative: [[3, 4]] });
  assert.equal(bundle, here);
  assert.equal(await edited.logits([1, 2]), await own.with([here]).logits([1, 2]));
  const session = await edited.session({ context: 64 });
  const id = "addition_resid_post";
  let isChanged = false;
  const generation = session.generate([1, 2], { maxNewTokens: 40, stopTokens: [] });
  for await (const _ of generation) {
    if (!isChanged) await session.set(id, { strength: 0 });
    isChanged = true;
  }
  const [change] = (await generation.result()).changes;
  assert.is(change?.strength, 0);
  assert.is((await session.stage(id)).strength, 0);
  session.dispose();
  edited.dispose();
});

test("models and functions cross: evaluate asks the page's scorer", async () => {
  const prompts = [[1, 2]];
  const scorer = ({ tokens }: { readonly tokens: readonly number[] }) => tokens.length;
  const bundle = await engine.fitDirection(model, "addition", { positive: [[1, 2]], negative: [[3, 4]] });
  const options = { prompts, newTokens: 4, temperature: 0 };
  const edited = await model.with([bundle]);
  const { continuations } = await engine.evaluate(edited, { ...options, scorer });
  assert.is(continuations?.mean.plain.value, 4);
});

test("bundles are read and written, and what cannot cross is refused", async () => {
  const bytes = await readBytes("test/data/gpt-nano-sort-circuit.safetensors");
  const bundle = await engine.readBundle(bytes, "circuit");
  assert.is(await engine.inspectBundle(bundle), sluice.inspectBundle(sluice.readBundle(bytes, "circuit")));
  assert.equal(await engine.writeBundle(bundle), sluice.writeBundle(bundle));
  assert.ok(bytes.length > 0, "the page's bytes stay the page's");
  const store = { read: async () => null, write: async () => undefined };
  assert.is(await codeOf(engine.tuneModel(model, { store } as object)), "usage");
});

test("nothing is kept for calls that have ended, nor for objects that are gone, on either side", async () => {
  const { port1, port2 } = new MessageChannel();
  const device = await sharedDevice();
  const host = serveEngine(port1, { device });
  const connection = new Connection(port2, () => port2.close());
  port2.start();
  await connection.ready;
  const page = engineOf(connection, () => connection.end(new SluiceError("aborted", "over")));
  const heldNow = () => ({ ...host.held, ...connection.held });
  const empty = { objects: 0, links: 0, calls: 0, functions: 0 };
  const before = sluice.resources();
  const { signal } = new AbortController();
  const round = async (): Promise<void> => {
    const loaded = await page.load(location(MODEL), { onProgress: () => undefined, onNotice: () => undefined, signal });
    const inUse = heldNow();
    const session = await loaded.session({ context: 96, signal });
    for (let i = 0; i < 3; i++) {
      await session.generate([1, 2], { maxNewTokens: 2, signal }).result();
      for await (const _ of session.generate([1, 2], { maxNewTokens: 90, stopTokens: [] })) break;
      assert.is(await codeOf(session.generate([10 ** 6]).result()), "bad_tokens");
      assert.is(await codeOf(loaded.perplexity([], { onProgress: () => undefined })), "usage");
      assert.is(await codeOf(loaded.logits([1], { signal: AbortSignal.abort() })), "aborted");
    }
    session.dispose();
    await loaded.gpuBytes;
    assert.equal(heldNow(), inUse);
    // Its sessions end with a model.
    await loaded.session({ context: 8 });
    loaded.dispose();
    await page.listSites(loaded.config);
    assert.equal(heldNow(), empty);
    assert.is(await codeOf(page.load(location("test/nowhere"), { onProgress: () => undefined, signal })), "not_found");
    assert.equal(heldNow(), empty);
  };
  for (let i = 0; i < 2; i++) await round();
  assert.equal(sluice.resources(), before);
  // A page that leaves everything behind.
  const left = await page.load(location(MODEL), { onProgress: () => undefined });
  await left.session({ context: 8 });
  const running = left.generate([1], { maxNewTokens: 200, stopTokens: [] }).result();
  page.dispose();
  assert.is(await codeOf(running), "aborted");
  const isFree = () => JSON.stringify(sluice.resources()) === JSON.stringify(before);
  for (let waited = 0; !isFree() && waited < 100; waited++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(sluice.resources(), before);
  assert.equal(host.held.objects, 0);
});

test("an engine that is disposed of fails its calls", async () => {
  const other = await open();
  const call = other.listModels();
  other.dispose();
  assert.is(await codeOf(call), "aborted");
  assert.is(await codeOf(other.listModels()), "aborted");
  served.close();
});

test.run();
