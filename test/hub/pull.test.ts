/** Downloads from a hub that behaves: what is asked, what is kept where, what is fetched again. */
import { createHash } from "node:crypto";
import { lstat, mkdir, readFile, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { findCached } from "../../src/hub/cached-models.ts";
import type { DownloadProgress } from "../../src/hub/progress.ts";
import { refusal } from "../formats/refusal.ts";
import { inFolder } from "../support/folder.ts";
import { type FakeHub, gitOid } from "../support/hub-server.ts";
import { NEW, noise, OLD, optionsFor, pull, startHub, tree, WEIGHTS } from "./node-fixtures.ts";

let hub: FakeHub;
test.before(async () => {
  hub = await startHub();
});
test.before.each(() => {
  hub.misbehaviour = {};
  hub.requests.length = 0;
});
test.after(() => hub.stop());

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const text = (content: string): Uint8Array => new TextEncoder().encode(content);

test("what is needed lies in the cache as huggingface_hub lays it out, file by file", () =>
  inFolder(async (folder) => {
    const { commit, files, fetchedBytes } = await pull(hub, folder, "org/single");
    assert.is(commit, NEW);
    assert.equal([...files].sort(), ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
    const config = gitOid(text('{"new": true}'));
    const tokenizerConfig = gitOid(text("{}"));
    const [weights, tokenizer] = [sha256(WEIGHTS), sha256(noise(2500, 3))];
    const model = "models--org--single";
    // Recorded from hf_hub_download of huggingface_hub 2.4 for the same server.
    const expected: Record<string, number | string> = {
      "CACHEDIR.TAG": 191,
      [`${model}/blobs/${config}`]: 13,
      [`${model}/blobs/${tokenizerConfig}`]: 2,
      [`${model}/blobs/${weights}`]: 3_000_000,
      [`${model}/blobs/${tokenizer}`]: 2500,
      [`${model}/refs/main`]: 40,
      [`${model}/snapshots/${NEW}/config.json`]: `-> ../../blobs/${config}`,
      [`${model}/snapshots/${NEW}/tokenizer_config.json`]: `-> ../../blobs/${tokenizerConfig}`,
      [`${model}/snapshots/${NEW}/model.safetensors`]: `-> ../../blobs/${weights}`,
      [`${model}/snapshots/${NEW}/tokenizer.json`]: `-> ../../blobs/${tokenizer}`,
    };
    for (const etag of [config, tokenizerConfig, weights, tokenizer]) expected[`.locks/${model}/${etag}.lock`] = 0;
    assert.equal(await tree(folder), Object.fromEntries(Object.entries(expected).sort(([a], [b]) => (a < b ? -1 : 1))));
    assert.is(await readFile(join(folder, model, "refs/main"), "utf8"), NEW);
    assert.is(fetchedBytes, 13 + 2 + 3_000_000 + 2500);
  }));

test("a model that is there costs one question; a branch that moved costs what changed", () =>
  inFolder(async (folder) => {
    await pull(hub, folder, "org/single");
    hub.requests.length = 0;
    const { fetchedBytes } = await pull(hub, folder, "org/single");
    assert.is(fetchedBytes, 0);
    assert.equal(
      hub.requests.map(({ url }) => url),
      ["/api/models/org/single/revision/main"],
    );
    // As if main had been at the older commit when it was last asked for.
    await writeFile(join(folder, "models--org--single/refs/main"), OLD);
    hub.requests.length = 0;
    assert.is((await pull(hub, folder, "org/single")).fetchedBytes, 0);
    assert.is(await readFile(join(folder, "models--org--single/refs/main"), "utf8"), NEW);
  }));

test("a commit that is there is never asked for again; tags, commits and pull requests are found", () =>
  inFolder(async (folder) => {
    assert.is((await pull(hub, folder, "org/single@v1")).commit, OLD);
    assert.is((await pull(hub, folder, "org/single@refs/pr/1")).commit, NEW);
    assert.is(await readFile(join(folder, "models--org--single/refs/refs/pr/1"), "utf8"), NEW);
    hub.requests.length = 0;
    assert.is((await pull(hub, folder, `org/single@${NEW}`)).commit, NEW);
    assert.is(hub.requests.length, 0);
    await refusal("not_found", () => pull(hub, folder, "org/single@v9"), "no such revision");
  }));

test("what Python downloaded is used: links, refs, and blobs of another commit", () =>
  inFolder(async (folder) => {
    // Everything but the tokenizer, made by hand.
    const model = join(folder, "models--org--single");
    const snapshot = join(model, "snapshots", NEW);
    await mkdir(join(model, "blobs"), { recursive: true });
    await mkdir(snapshot, { recursive: true });
    await mkdir(join(model, "refs"), { recursive: true });
    await writeFile(join(model, "refs/main"), NEW);
    await writeFile(join(model, "blobs", sha256(WEIGHTS)), WEIGHTS);
    await symlink(`../../blobs/${sha256(WEIGHTS)}`, join(snapshot, "model.safetensors"));
    await writeFile(join(model, "blobs", gitOid(text("{}"))), "{}");
    const { fetchedBytes } = await pull(hub, folder, "org/single");
    assert.is(fetchedBytes, 13 + 2500);
    assert.is(hub.asked(/resolve.*tokenizer_config/).filter(({ method }) => method === "GET").length, 0);
  }));

test("shards are those that the index names", () =>
  inFolder(async (folder) => {
    const { files } = await pull(hub, folder, "org/sharded");
    assert.equal([...files].sort(), [
      "config.json",
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
      "model.safetensors.index.json",
    ]);
    hub.requests.length = 0;
    assert.is((await pull(hub, folder, "org/sharded")).fetchedBytes, 0);
    assert.is((await pull(hub, folder, "org/sharded", { isOffline: true })).files.length, 4);
    assert.is(hub.requests.length, 1);
  }));

test("a GGUF file is fetched by its name or its quantisation, and alone", () =>
  inFolder(async (folder) => {
    assert.equal((await pull(hub, folder, "org/gguf/a-Q8_0.gguf")).files, ["a-Q8_0.gguf"]);
    const { files, gguf } = await pull(hub, folder, "org/gguf:q4_k_m");
    assert.equal([files, gguf], [["a-Q4_K_M.gguf"], "a-Q4_K_M.gguf"]);
    assert.is((await pull(hub, folder, "org/gguf:Q8_0", { isOffline: true })).gguf, "a-Q8_0.gguf");
    const { notices } = await pull(hub, folder, "org/gguf");
    assert.match(notices.join("\n"), /its a-Q4_K_M\.gguf is used/);
  }));

test("a repository without weights for us says what it has, and nothing is fetched of it", () =>
  inFolder(async (folder) => {
    await refusal(
      "not_found",
      () => pull(hub, folder, "org/pickle"),
      "neither safetensors nor GGUF",
      "pytorch_model.bin",
    );
    assert.is(hub.asked(/resolve.*bin/).length, 0);
  }));

test("the token goes to the hub alone", () =>
  inFolder(async (folder) => {
    await pull(hub, folder, "org/single", { token: hub.token });
    const tokens = (host: string) =>
      new Set(hub.requests.filter((asked) => asked.host === host).map(({ token }) => token));
    assert.equal([...tokens("hub")], [`Bearer ${hub.token}`]);
    assert.equal([...tokens("storage")], [undefined]);
    assert.ok(hub.requests.some(({ host }) => host === "storage"));
  }));

test("who has no access is told what to do", () =>
  inFolder(async (folder) => {
    await refusal("not_found", () => pull(hub, folder, "org/none"), "no such model", "set HF_TOKEN");
    await refusal("not_found", () => pull(hub, folder, "org/private"), "or it is private", "set HF_TOKEN");
    await refusal(
      "not_found",
      () => pull(hub, folder, "org/private", { token: "wrong" }),
      "whether the token is valid",
    );
    const gated = () => pull(hub, folder, "org/gated", { token: hub.token });
    await refusal("not_found", gated, "accept its licence", `accept it at ${hub.url}/org/gated`);
    assert.equal((await pull(hub, folder, "org/private", { token: hub.token })).files, [
      "config.json",
      "model.safetensors",
    ]);
  }));

test("offline nothing is asked, and what is missing is said", () =>
  inFolder(async (folder) => {
    const offline = { isOffline: true };
    await refusal("not_found", () => pull(hub, folder, "org/single", offline), "HF_HUB_OFFLINE", "it is not in");
    assert.is(hub.requests.length, 0);
    await pull(hub, folder, "org/single");
    hub.requests.length = 0;
    assert.is((await pull(hub, folder, "org/single", offline)).commit, NEW);
    await refusal("not_found", () => pull(hub, folder, "org/single@v1", offline), "would have to be downloaded");
    assert.is(hub.requests.length, 0);
  }));

test("progress counts every file and all of them, up to the end", () =>
  inFolder(async (folder) => {
    const seen: DownloadProgress[] = [];
    hub.misbehaviour = { rate: 3_000_000 };
    await pull(hub, folder, "org/single", { onProgress: (progress) => void seen.push(progress) });
    const last = seen.at(-1);
    assert.is(last?.done, 3_002_515);
    assert.is(last?.total, 3_002_515);
    assert.equal(
      last?.files.map(({ path, done, total }) => [path, done === total]),
      ["config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors"].map((path) => [path, true]),
    );
    const middle = seen.find(({ done, secondsLeft }) => done < 2_500_000 && secondsLeft !== null);
    assert.ok(middle?.bytesPerSecond && middle.bytesPerSecond > 500_000, JSON.stringify(middle));
    for (const [i, { done }] of seen.entries()) assert.ok(done >= (seen[i - 1]?.done ?? 0));
  }));

test("two at once download each content once", () =>
  inFolder(async (folder) => {
    hub.misbehaviour = { rate: 6_000_000 };
    const [a, b] = await Promise.all([pull(hub, folder, "org/single"), pull(hub, folder, "org/single")]);
    assert.equal([a.commit, b.commit], [NEW, NEW]);
    assert.is(
      hub.requests.filter(({ host, url }) => host === "storage" && url.includes("model.safetensors")).length,
      1,
    );
    assert.match(
      [...a.notices, ...b.notices].join("\n"),
      /Another process is downloading org\/single\/model\.safetensors/,
    );
  }));

test("a lock whose owner died is taken over", () =>
  inFolder(async (folder) => {
    const lock = join(folder, ".locks/models--org--single", `${sha256(WEIGHTS)}.lock.sluice`);
    await mkdir(join(lock, ".."), { recursive: true });
    await writeFile(lock, "whoever");
    await utimes(lock, new Date(0), new Date(0));
    assert.is((await pull(hub, folder, "org/single")).commit, NEW);
    await assertMissing(lock);
  }));

test("where links cannot be made, files take the places of links", () =>
  inFolder(async (folder) => {
    await pull(hub, folder, "org/single", { links: false });
    const snapshot = join(folder, "models--org--single/snapshots", NEW);
    assert.is((await lstat(join(snapshot, "model.safetensors"))).isFile(), true);
    assert.is((await pull(hub, folder, "org/single", { links: false })).fetchedBytes, 0);
  }));

test("models are listed with their sizes, and removed with what no other revision has", () =>
  inFolder(async (folder) => {
    const { store } = optionsFor(hub, folder);
    await pull(hub, folder, "org/single");
    await pull(hub, folder, "org/single@v1");
    await pull(hub, folder, "org/gguf:Q8_0");
    const [gguf, single] = await store.models();
    assert.equal([gguf?.repo, gguf?.bytes], ["org/gguf", 9000]);
    assert.is(single?.bytes, 3_002_515 + 4002 - 2);
    assert.equal(
      single?.revisions.map(({ commit, refs }) => [commit, refs]),
      [
        [OLD, ["v1"]],
        [NEW, ["main"]],
      ],
    );
    assert.ok((single?.lastUsed?.getTime() ?? 0) > Date.now() - 60_000);
    assert.is(findCached(`org/single@${OLD.slice(0, 8)}`, store, await store.models()).commit, OLD);
    assert.is(findCached("hf://org/single", store, await store.models()).commit, undefined);
    // Both commits have {}: it stays.
    assert.is(await store.remove("org/single", OLD), 4000 + 40);
    assert.is((await pull(hub, folder, "org/single", { isOffline: true })).commit, NEW);
    await store.remove("org/single");
    assert.equal(
      (await store.models()).map(({ repo }) => repo),
      ["org/gguf"],
    );
  }));

async function assertMissing(path: string): Promise<void> {
  assert.is(await lstat(path).catch(() => null), null, path);
}

test.run();
