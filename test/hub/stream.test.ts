/** A hub's model as a source of files that is read while it comes. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { FileSource } from "../../src/formats/source.ts";
import { streamModel } from "../../src/hub/open-hub.ts";
import type { DownloadProgress } from "../../src/hub/progress.ts";
import { parseReference } from "../../src/hub/reference.ts";
import { refusal } from "../formats/refusal.ts";
import { inFolder } from "../support/folder.ts";
import type { FakeHub } from "../support/hub-server.ts";
import { optionsFor, type PullChoices, SHARDS, startHub, tree, WEIGHTS } from "./node-fixtures.ts";

const path = "model.safetensors";

let hub: FakeHub;
test.before(async () => {
  hub = await startHub();
});
test.before.each(() => {
  hub.misbehaviour = {};
  hub.requests.length = 0;
});
test.after(() => hub.stop());

/** The files of a model, closed afterwards. */
async function streaming(
  choices: PullChoices,
  use: (files: FileSource, folder: string) => Promise<void>,
  name = "org/single",
): Promise<void> {
  await inFolder(async (folder) => {
    const reference = parseReference(name);
    if (!reference) throw new Error(`${name} is no reference`);
    const files = await streamModel(reference, optionsFor(hub, folder, choices));
    try {
      await use(files, folder);
    } finally {
      await files.close();
    }
  });
}

test("the beginning is read before the end has come, and the end is written and verified", async () => {
  let last: DownloadProgress | undefined;
  const onProgress = (progress: DownloadProgress): void => {
    last = progress;
  };
  hub.misbehaviour = { rate: 3_000_000 };
  await streaming({ onProgress }, async (files, folder) => {
    files.readAhead?.(path, []);
    assert.equal(await files.read(path, 0, 100_000), WEIGHTS.slice(0, 100_000));
    assert.ok((last?.done ?? 0) < 2_500_000, `${last?.done} bytes had come`);
    assert.not.ok(Object.keys(await tree(folder)).some((name) => name.endsWith("refs/main")));
    assert.equal(await files.read(path, 2_900_000, 3_000_000), WEIGHTS.slice(2_900_000));
    await files.settle?.();
    assert.ok(Object.keys(await tree(folder)).some((name) => name.endsWith("refs/main")));
    // Now from the cache.
    assert.equal(await files.read(path, 5, 10), WEIGHTS.slice(5, 10));
  });
});

test("before weights are wanted, only their beginning is fetched", async () => {
  let last: DownloadProgress | undefined;
  const onProgress = (progress: DownloadProgress): void => {
    last = progress;
  };
  await streaming({ onProgress }, async (files) => {
    assert.is(await files.size(path), 3_000_000);
    assert.equal(await files.read(path, 0, 8), WEIGHTS.slice(0, 8));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok((last?.done ?? 0) < 1_500_000, `${last?.done} bytes had come`);
    await files.settle?.();
    assert.is(last?.done, last?.total);
  });
});

test("more shards than there are connections are begun for their headers, left, and continued", () =>
  streaming(
    {},
    async (files, folder) => {
      const shards = SHARDS.map((_, i) => `model-${i}.safetensors`);
      const heads = await Promise.all(shards.map((shard) => files.read(shard, 0, 9)));
      for (const [i, head] of heads.entries()) assert.equal(head, SHARDS[i]?.slice(0, 9));
      assert.is(await files.exists("model-9.safetensors"), false);
      for (const name of Object.keys(await tree(folder))) assert.not.match(name, /snapshots.*model-\d/);
      await files.settle?.();
      assert.equal(await files.read("model-5.safetensors", 0, 1_200_000), SHARDS[5]);
    },
    "org/many",
  ));

test("small files are read when they are verified, and a wrong one is never read", async () => {
  hub.misbehaviour = { corrupt: "config.json" };
  await streaming({}, async (files) => {
    await refusal("bad_file", () => files.readAll("config.json"), "org/single/config.json", "thrown away");
    await refusal("bad_file", async () => files.settle?.(), "org/single/config.json");
  });
});

test("weights that prove wrong at their end are told to whoever settles, and are not in the cache", async () => {
  hub.misbehaviour = { corrupt: path };
  await streaming({}, async (files, folder) => {
    files.readAhead?.(path, []);
    await refusal("bad_file", async () => files.settle?.(), "org/single/model.safetensors", "thrown away");
    for (const name of Object.keys(await tree(folder))) assert.not.match(name, /model\.safetensors|refs/);
  });
});

test("closing keeps what has come", () =>
  inFolder(async (folder) => {
    hub.misbehaviour = { rate: 3_000_000 };
    const reference = parseReference("org/single");
    assert.ok(reference);
    const files = await streamModel(reference, optionsFor(hub, folder));
    files.readAhead?.(path, []);
    await files.read(path, 0, 1_000_000);
    await files.close();
    const kept = Object.entries(await tree(folder)).find(([name]) => name.endsWith(".incomplete"));
    assert.ok(Number(kept?.[1]) >= 1_000_000, String(kept));
    await refusal("usage", () => files.read(path, 0, 1));
  }));

test("what the repository has besides is listed, for errors, and cannot be read", () =>
  streaming({}, async (files) => {
    assert.ok((await files.list())?.includes("pytorch_model.bin"));
    assert.ok((await files.list())?.includes("onnx"));
    assert.equal(await files.list("onnx"), ["model.onnx"]);
    assert.is(await files.exists("pytorch_model.bin"), false);
    await refusal("not_found", () => files.readAll("pytorch_model.bin"), "does not exist");
  }));

test.run();
