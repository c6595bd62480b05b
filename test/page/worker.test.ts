/** The engine in a real worker: started from its own script, fed with files that a user picked, and ended. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Engine, openEngine, SluiceError } from "../../src/worker/index.ts";
import { readBytes } from "../support/files.ts";

let engine: Engine;
test.before(async () => {
  engine = await openEngine();
});
test.after(() => engine.dispose());

test("an address relative to the page is loaded, and a page's frames go on while it runs", async () => {
  const phases = new Set<string>();
  const model = await engine.load("/weights/stories260K", { onProgress: ({ phase }) => phases.add(phase) });
  let longest = 0;
  let last = performance.now();
  const watch = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 5);
  let text = "";
  for await (const token of model.generate("Once upon a time", { maxNewTokens: 30 })) text += token.text;
  clearInterval(watch);
  assert.match(text, /there was/);
  assert.ok(longest < 1000, `the page stood still for ${longest} ms`);
  assert.ok(phases.has("upload") && phases.has("decode"));
  const ids = (await model.tokenizer?.encode("Once upon a time")) ?? [];
  assert.is(await model.tokenizer?.decode(ids), "Once upon a time");
  model.dispose();
});

test("picked files are loaded", async () => {
  const names = ["config.json", "model.safetensors"];
  const files = await Promise.all(
    names.map(async (name) => new File([await readBytes(`test/golden/llama-tiny/${name}`)], name)),
  );
  const model = await engine.load(files);
  assert.ok((await model.gpuBytes) > 0);
  const digest = await crypto.subtle.digest("SHA-256", await readBytes("test/golden/llama-tiny/model.safetensors"));
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  assert.is(await engine.weightsDigestOf(files), hex);
  const bytes = await readBytes("test/data/gpt-nano-sort-circuit.safetensors");
  const bundle = await engine.loadBundle(new File([bytes], "circuit.safetensors"));
  assert.match(await engine.inspectBundle(bundle), /circuit\.safetensors/);
  model.dispose();
});

test("a worker whose script is missing is an error", async () => {
  const worker = new Worker("/nowhere.js", { type: "module" });
  const error = await openEngine({ worker }).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof SluiceError && error.code === "not_found");
});

test.run();
