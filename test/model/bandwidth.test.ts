/**
 * Loading over a network takes as long as one plain download of the weights: answers come 100 ms late, and the line is
 * so slow that the machine's own work does not count. In Node and in Chromium.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type StoredTensor, storeFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { load } from "../../src/index.ts";
import { openTestPage } from "../page/open.ts";
import { openChromium } from "../support/chromium.ts";
import { type SlowServer, serveSlowly } from "../support/slow-server.ts";

const [LAYERS, WIDTH, VOCAB, CONTEXT] = [3, 320, 4096, 32];
const SLOWNESS = { delayMs: 100, bytesPerSecond: 5e6 };

/** Load time per time of a plain download. */
const MOST = 1.2;

/** A busy machine delays some attempts; what the engine waits for delays all. */
const ATTEMPTS = 4;

let server: SlowServer;

/** GPT-2 with weights of zeros, 20 MB. */
function modelFiles(): ReadonlyMap<string, Uint8Array> {
  const tensors = new Map<string, StoredTensor>();
  const add = (name: string, ...shape: number[]) =>
    tensors.set(name, storeFloat32(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape));
  add("wte.weight", VOCAB, WIDTH);
  add("wpe.weight", CONTEXT, WIDTH);
  for (let layer = 0; layer < LAYERS; layer++) {
    const linear = (name: string, inputs: number, outputs: number) => {
      add(`h.${layer}.${name}.weight`, inputs, outputs);
      add(`h.${layer}.${name}.bias`, outputs);
    };
    for (const norm of ["ln_1", "ln_2"]) {
      add(`h.${layer}.${norm}.weight`, WIDTH);
      add(`h.${layer}.${norm}.bias`, WIDTH);
    }
    linear("attn.c_attn", WIDTH, 3 * WIDTH);
    linear("attn.c_proj", WIDTH, WIDTH);
    linear("mlp.c_fc", WIDTH, 4 * WIDTH);
    linear("mlp.c_proj", 4 * WIDTH, WIDTH);
  }
  add("ln_f.weight", WIDTH);
  add("ln_f.bias", WIDTH);
  const config = {
    model_type: "gpt2",
    n_layer: LAYERS,
    n_head: 5,
    n_embd: WIDTH,
    n_positions: CONTEXT,
    vocab_size: VOCAB,
  };
  return new Map([
    ["/model/config.json", new TextEncoder().encode(JSON.stringify(config))],
    ["/model/model.safetensors", writeSafetensors(tensors)],
  ]);
}

test.before(async () => {
  server = await serveSlowly(modelFiles(), SLOWNESS);
});

test.after(() => server.close());

async function best(ratio: () => Promise<number>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ATTEMPTS && least > MOST; i++) least = Math.min(least, await ratio());
  return least;
}

test("in Node", async () => {
  const ratio = await best(async () => {
    const began = performance.now();
    await (await fetch(`${server.origin}/model/model.safetensors`)).arrayBuffer();
    const downloaded = performance.now();
    (await load(`${server.origin}/model`)).dispose();
    return (performance.now() - downloaded) / (downloaded - began);
  });
  assert.ok(ratio <= MOST, `${ratio.toFixed(2)} times the download`);
});

test("in Chromium", async () => {
  const browser = await openChromium();
  try {
    const script = `
      import { load } from "./src/index.ts";
      globalThis.ratioOf = async (origin) => {
        const began = performance.now();
        await (await fetch(origin + "/model/model.safetensors", { cache: "no-store" })).arrayBuffer();
        const downloaded = performance.now();
        (await load(origin + "/model")).dispose();
        return (performance.now() - downloaded) / (downloaded - began);
      };`;
    const { page, close } = await openTestPage(browser, script);
    await page.waitForFunction("globalThis.ratioOf");
    const ratio = await best(() => page.evaluate<number>(`ratioOf(${JSON.stringify(server.origin)})`));
    await close();
    assert.ok(ratio <= MOST, `${ratio.toFixed(2)} times the download`);
  } finally {
    await browser.close();
  }
});

test.run();
