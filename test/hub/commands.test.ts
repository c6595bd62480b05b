/** `sluice pull`, `sluice models …`, and a hub's model as MODEL of any command, up to its tokens. */
import { createHash } from "node:crypto";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fakeLibrary, run } from "../cli/fake-world.ts";
import { runReal } from "../cli/real-library.ts";
import { location } from "../support/files.ts";
import { inFolder } from "../support/folder.ts";
import { FakeHub } from "../support/hub-server.ts";
import { NEW, tree } from "./node-fixtures.ts";

const GGUF = location("test/data/gguf/stories260K-Q8_0.gguf");

let hub: FakeHub;
const before = { ...process.env };
const home = process.cwd();
test.before(async () => {
  const folder = location("weights/gpt-nano-sort");
  const names = ["config.json", "model.safetensors"];
  const files = await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const));
  const gguf = { "stories260K-Q8_0.gguf": await readFile(GGUF), "README.md": "#" };
  hub = await FakeHub.start({
    "org/sort": { commits: [{ sha: NEW, files: Object.fromEntries(files) }] },
    "org/gguf": { commits: [{ sha: NEW, files: gguf }] },
  });
});
test.before.each(() => {
  hub.misbehaviour = {};
  hub.requests.length = 0;
});
test.after(async () => {
  process.chdir(home);
  await hub.stop();
  for (const name of ["HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE"]) {
    if (before[name] === undefined) delete process.env[name];
    else process.env[name] = before[name];
  }
});

/** A working folder, and in it a home of Hugging Face's tools. */
function inHome(use: (cache: string, folder: string) => Promise<void>): Promise<void> {
  return inFolder(async (folder) => {
    Object.assign(process.env, { HF_HOME: folder, HF_ENDPOINT: hub.url });
    delete process.env.HF_HUB_OFFLINE;
    process.chdir(folder);
    try {
      await use(join(folder, "hub"), folder);
    } finally {
      process.chdir(home);
    }
  });
}

test("pull fetches, says where, and the second time fetches nothing", () =>
  inHome(async (cache) => {
    const path = join(cache, "models--org--sort/snapshots", NEW);
    const first = await run(["pull", "org/sort"]);
    assert.equal([first.code, first.stdout], [0, `${path}\n`]);
    assert.match(first.stderr, /model\.safetensors, .*\n[\s\S]* fetched\n/);
    const second = JSON.parse((await run(["pull", "org/sort", "--json"])).stdout);
    assert.equal(second, {
      id: "org/sort",
      commit: NEW,
      path,
      files: ["config.json", "model.safetensors"],
      fetched_bytes: 0,
    });
    const { code, stderr } = await run(["pull", "sort"]);
    assert.is(code, 2);
    assert.match(stderr, /sort is not the name of a model on the hub[\s\S]*org\/name:Q4_K_M/);
  }));

test("a hub's model runs by its name, while it comes, from the cache, and offline", () =>
  inHome(async (cache) => {
    const line = ["generate", "org/sort", "--tokens", "2,0,1", "--max-new-tokens", "2"];
    const local = await runReal(["generate", location("weights/gpt-nano-sort"), ...line.slice(2)]);
    const cold = await runReal(line);
    assert.equal([cold.code, cold.stdout], [0, local.stdout], cold.stderr);
    assert.ok((await tree(cache))["models--org--sort/refs/main"] === 40);
    hub.requests.length = 0;
    assert.is((await runReal(line)).stdout, local.stdout);
    assert.is(hub.requests.length, 1);
    process.env.HF_HUB_OFFLINE = "1";
    assert.is((await runReal(line)).stdout, local.stdout);
    assert.is(hub.requests.length, 1);
  }));

test("a GGUF model runs by its quantisation and by its file, while it comes and from the cache", () =>
  inHome(async (cache) => {
    const rest = ["Once upon", "--max-new-tokens", "4"];
    const local = await runReal(["generate", GGUF, ...rest]);
    for (const name of ["org/gguf:Q8_0", "org/gguf/stories260K-Q8_0.gguf", "hf://org/gguf"]) {
      const { code, stdout, stderr } = await runReal(["generate", name, ...rest]);
      assert.equal([code, stdout], [0, local.stdout], stderr);
    }
    const { stdout } = await run(["pull", "org/gguf:q8_0"]);
    assert.is(stdout, `${join(cache, "models--org--gguf/snapshots", NEW, "stories260K-Q8_0.gguf")}\n`);
    assert.is(hub.asked(/README/).length, 0);
  }));

test("a damaged remainder of an earlier download never becomes a model either", () =>
  inHome(async (cache) => {
    const line = ["generate", "org/sort", "--tokens", "2,0,1", "--max-new-tokens", "2"];
    const local = await runReal(["generate", location("weights/gpt-nano-sort"), ...line.slice(2)]);
    const bytes = await readFile(location("weights/gpt-nano-sort/model.safetensors"));
    const etag = createHash("sha256").update(bytes).digest("hex");
    const blobs = join(cache, "models--org--sort/blobs");
    await mkdir(blobs, { recursive: true });
    // The header is right, and the first weights are not.
    await writeFile(
      join(blobs, `${etag}.incomplete`),
      bytes.subarray(0, 200_000).map((byte, i) => (i < 9000 ? byte : 1)),
    );
    const { code, stdout, stderr } = await runReal(line);
    assert.equal([code, stdout], [0, local.stdout], stderr);
    assert.match(stderr, /What was left of an earlier download of org\/sort\/model\.safetensors was wrong/);
  }));

test("weights that prove wrong while they are uploaded never become a model", () =>
  inHome(async (cache) => {
    hub.misbehaviour = { corrupt: "model.safetensors" };
    const { code, stderr, stdout } = await runReal(["generate", "org/sort", "--tokens", "2,0,1"]);
    assert.equal([code, stdout], [1, ""]);
    assert.match(stderr, /org\/sort\/model\.safetensors is not what the hub says it is, and was thrown away/, stderr);
    for (const name of Object.keys(await tree(cache))) assert.not.match(name, /snapshots.*safetensors|refs/);
  }));

test("a folder of that name goes first, with a notice; a name that is neither says what was tried", () =>
  inHome(async (_, folder) => {
    await mkdir(join(folder, "org"));
    await symlink(location("weights/gpt-nano-sort"), join(folder, "org/sort"));
    const { code, stderr } = await runReal(["sites", "org/sort"]);
    assert.is(code, 0);
    assert.is(hub.requests.length, 0);
    const generated = await runReal(["generate", "org/sort", "--tokens", "2,0,1", "--max-new-tokens", "2"]);
    assert.match(
      generated.stderr,
      /org\/sort is read from the disk; the hub's model of that name would be hf:\/\/org\/sort/,
    );
    assert.not.match(stderr, /does not exist/);
    const none = await runReal(["generate", "org/none", "x"]);
    assert.is(none.code, 1);
    assert.ok(none.stderr.includes(`${join(process.cwd(), "org/none")} does not exist`), none.stderr);
    assert.match(none.stderr, /has no such model, or it is private/);
  }));

test("models list, verify and remove show and mend what the cache holds", () =>
  inHome(async (cache) => {
    assert.match((await run(["models", "list"])).stdout, /holds no models/);
    await run(["pull", "org/sort"]);
    const { stdout } = await run(["models", "list"]);
    assert.match(stdout, /model +revisions +size +unfinished +last used +where/);
    assert.ok(stdout.includes(join(cache, "models--org--sort")));
    const { models } = JSON.parse((await run(["models", "list", "--json"])).stdout);
    assert.equal([models[0].id, models[0].revisions[0].refs], ["org/sort", ["main"]]);
    assert.match((await run(["models", "verify"])).stdout, /2 of 2 files are right/);

    const config = join(cache, "models--org--sort/snapshots", NEW, "config.json");
    await writeFile(config, "{}");
    const wrong = await run(["models", "verify", "org/sort"]);
    assert.is(wrong.code, 1);
    assert.match(wrong.stdout, /org\/sort\/config\.json at .*wrong: git's SHA-1 of it is/);
    assert.match(wrong.stderr, /org\/sort\/config\.json was wrong and thrown away/);
    assert.match((await run(["pull", "org/sort"])).stderr, /config\.json/);
    assert.is((await run(["models", "verify"])).code, 0);

    assert.match((await run(["models", "remove", "org/other"])).stderr, /org\/other is not in .*hub[\s\S]*models list/);
    assert.match((await run(["models", "remove", "org/sort@v7"])).stderr, /has no revision v7[\s\S]*main = 89ab/);
    assert.match((await run(["models", "remove", "org/sort"])).stdout, /org\/sort: .* freed/);
    assert.match((await run(["models", "list"])).stdout, /holds no models/);
  }));

test("the words of a hub's model reach the library as they are", async () => {
  const library = fakeLibrary();
  await run(["generate", "org/name@v1:Q4_K_M", "Hi"], { library });
  assert.is(library.calls.load[0]?.source, "org/name@v1:Q4_K_M");
});

test.run();
