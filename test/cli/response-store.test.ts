/** What an interrupted fit keeps: it goes on to the same bits, and is not taken for that of something else. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { FileStore } from "../../src/cli/response-store.ts";
import { fitAura, load } from "../../src/index.ts";
import { writeBundle } from "../../src/interventions/bundle.ts";
import { location } from "../support/files.ts";
import { codeOf } from "../support/refusal-code.ts";

async function inFolder(use: (out: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-store-"));
  try {
    await use(join(folder, "out.safetensors"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("interrupted and gone on with, a fit has the bits of one that was not", () =>
  inFolder(async (out) => {
    const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
    const sentences = (seed: number) =>
      Array.from({ length: 40 }, (_, i) => Array.from({ length: 2 + (i % 4) }, (_, j) => (seed + i * 7 + j * 3) % 90));
    const classes = { positive: sentences(1), negative: sentences(45), sites: ["mlp_pre"] } as const;
    const whole = await fitAura(model, classes);
    const stop = new AbortController();
    const interrupted = fitAura(model, {
      ...classes,
      store: await FileStore.open(out, classes),
      signal: stop.signal,
      // Behind the first class, which is kept by then.
      onProgress: (done) => done >= 40 && stop.abort(),
    });
    assert.is(await codeOf(() => interrupted), "aborted");

    const store = await FileStore.open(out, classes);
    assert.ok(store.isBegun);
    const seen: number[] = [];
    const resumed = await fitAura(model, { ...classes, store, onProgress: (done) => seen.push(done) });
    assert.ok(Math.min(...seen) >= 40, `measured again from ${Math.min(...seen)}`);
    assert.equal(writeBundle(resumed.bundle), writeBundle(whole.bundle));
    model.dispose();
  }));

test("what was left by a fit of other weights, sentences or options is refused, and so is a damaged file", () =>
  inFolder(async (out) => {
    const inputs = { model: "digest", sites: ["up"] };
    const store = await FileStore.open(out, inputs);
    await store.save("part", Float32Array.of(1, 2, 3));
    assert.equal(await (await FileStore.open(out, inputs)).load("part"), Float32Array.of(1, 2, 3));
    assert.is(await codeOf(() => FileStore.open(out, { ...inputs, model: "another" })), "usage");
    const bytes = await readFile(store.path);
    await writeFile(store.path, bytes.subarray(0, bytes.length - 3));
    assert.is(await codeOf(() => FileStore.open(out, inputs)), "bad_file");
    await store.remove();
    assert.not.ok((await FileStore.open(out, inputs)).isBegun);
  }));

test.run();
