import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, open, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/formats/huggingface.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { refusal } from "./refusal.ts";

let folder = "";

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-folder-"));
  await writeFile(
    join(folder, "data"),
    Uint8Array.from({ length: 1000 }, (_, i) => i % 251),
  );
  await mkdir(join(folder, "sub"));
  await writeFile(join(folder, "sub/inner"), "inner");
});

test.after(() => rm(folder, { recursive: true }));

test("ranges of a file, its size, its presence", async () => {
  const source = await openSource(folder);
  assert.is(await source.size("data"), 1000);
  assert.equal([...(await source.read("data", 249, 253))], [249, 250, 0, 1]);
  assert.is((await source.read("data", 1000, 1000)).length, 0);
  assert.is(new TextDecoder().decode(await source.readAll("sub/inner")), "inner");
  assert.is(await source.exists("data"), true);
  assert.is(await source.exists("nothing"), false);
  assert.is(await source.exists("data/under-a-file"), false);
  assert.is(await source.exists("sub"), false);
  assert.equal([...((await source.list()) ?? [])].sort(), ["data", "sub"]);
  await source.close();
});

test("symbolic links are followed, as Hugging Face's cache lays them", async () => {
  await mkdir(join(folder, "cache/blobs"), { recursive: true });
  await mkdir(join(folder, "cache/snapshots/main"), { recursive: true });
  await writeFile(join(folder, "cache/blobs/abc"), "blob");
  await symlink("../../blobs/abc", join(folder, "cache/snapshots/main/config.json"));
  const source = await openSource(join(folder, "cache/snapshots/main"));
  assert.is(await source.exists("config.json"), true);
  assert.equal(new TextDecoder().decode(await source.readAll("config.json")), "blob");
  await source.close();
});

test("a file: URL is a folder", async () => {
  const source = await openSource(pathToFileURL(`${folder}/`));
  assert.is(await source.size("data"), 1000);
  await source.close();
});

test("a missing path and a file in place of a folder are refused with a remedy", async () => {
  await refusal("not_found", () => openSource(join(folder, "nowhere")), "nowhere does not exist", "config.json");
  await refusal("not_found", () => openSource(join(folder, "data")), "is a file, not a folder");
  await refusal("not_found", () => openSource("some-model"), "named with its owner, such as openai-community/gpt2");
  const source = await openSource(folder);
  await refusal("not_found", () => source.read("nothing", 0, 1), join(folder, "nothing"), "does not exist");
  await refusal("not_found", () => source.size("sub"), "not a file");
  await source.close();
});

test("a pipe in a folder is not waited for", async () => {
  execFileSync("mkfifo", [join(folder, "pipe")]);
  const source = await openSource(folder);
  await refusal("not_found", () => source.readAll("pipe"), "is not a file");
  await source.close();
});

test("no path leads out of the folder", async () => {
  const source = await openSource(join(folder, "sub"));
  for (const path of ["../data", "/etc/hostname", "./inner", "a//b", "", "..\\data", "a\0b"]) {
    await refusal("usage", () => source.read(path, 0, 1), "inside the model's folder");
  }
  await source.close();
});

test("a file that is shorter than the requested range", async () => {
  const source = await openSource(folder);
  await refusal("bad_file", () => source.read("data", 0, 1001), "byte 1000", "1001");
  // No buffer of this size could be made.
  await refusal("bad_file", () => source.read("data", 0, 2 ** 52), String(2 ** 52));
  await refusal("bad_file", () => source.readAll("data", 999), "999", "1000");
  await source.close();
});

test("a file that shrinks while it is open", async () => {
  await writeFile(join(folder, "shrinking"), "0123456789");
  const source = await openSource(folder);
  assert.is(await source.size("shrinking"), 10);
  await truncate(join(folder, "shrinking"), 4);
  await refusal("bad_file", () => source.read("shrinking", 2, 8), "shrinking", "byte 4", "8");
  await source.close();
});

test("a file of more than 4 GiB is read at the right place", async () => {
  const handle = await open(join(folder, "model.safetensors"), "w");
  const elements = 5 * 2 ** 30;
  const header = new TextEncoder().encode(
    `{"big":{"dtype":"U8","shape":[${elements}],"data_offsets":[0,${elements}]}}`,
  );
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(header.length), true);
  await handle.write(prefix);
  await handle.write(header);
  // A hole: the file takes no room on disk.
  await handle.write(Uint8Array.of(42), 0, 1, 8 + header.length + elements - 1);
  await handle.close();
  const checkpoint = await openCheckpoint(await openSource(folder));
  assert.equal([...(await checkpoint.read("big", elements - 2, elements))], [0, 42]);
  await checkpoint.close();
});

test("an abort and a closed source end reads; closing twice is fine", async () => {
  const source = await openSource(folder);
  await source.read("data", 0, 1);
  await refusal("aborted", () => source.read("data", 0, 1, AbortSignal.abort()));
  await source.close();
  await source.close();
  await refusal("usage", () => source.read("data", 0, 1), "closed");
});

test.run();
