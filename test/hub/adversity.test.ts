/** Downloads from a hub, a network and a disk that misbehave: continued, refused with an error that says why, never half. */
import { createHash } from "node:crypto";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { refusal } from "../formats/refusal.ts";
import { inFolder } from "../support/folder.ts";
import type { FakeHub, Misbehaviour } from "../support/hub-server.ts";
import { NEW, noise, pull, repos, startHub, tree, WEIGHTS } from "./node-fixtures.ts";

let hub: FakeHub;
test.before(async () => {
  hub = await startHub();
});
test.before.each(() => {
  hub.misbehaviour = {};
  hub.requests.length = 0;
  hub.sentBytes = 0;
});
test.after(() => hub.stop());

const path = "model.safetensors";
const etag = createHash("sha256").update(WEIGHTS).digest("hex");
const blobs = "models--org--single/blobs";

/** The content is in the cache, whole and right. */
async function assertWhole(folder: string): Promise<void> {
  const bytes = await readFile(join(folder, "models--org--single/snapshots", NEW, path));
  assert.is(createHash("sha256").update(bytes).digest("hex"), etag);
  for (const name of Object.keys(await tree(folder))) assert.not.match(name, /incomplete|sluice/);
}

/** Nothing in the cache looks like the content. */
async function assertAbsent(folder: string): Promise<void> {
  const names = Object.keys(await tree(folder));
  assert.not.ok(names.includes(`${blobs}/${etag}`));
  assert.not.ok(names.includes(`models--org--single/snapshots/${NEW}/${path}`));
  assert.not.ok(names.includes("models--org--single/refs/main"));
}

test("a download that is cut off again and again goes on where it was", () =>
  inFolder(async (folder) => {
    hub.misbehaviour = { cut: { path, after: 700_000, times: 3 } };
    await pull(hub, folder, "org/single");
    await assertWhole(folder);
    const ranges = hub.requests
      .filter(({ host, url }) => host === "storage" && url.includes(path))
      .map(({ range }) => range);
    assert.is(ranges.length, 4);
    assert.ok(hub.sentBytes < 3_000_000 + 300_000, `${hub.sentBytes} bytes were sent`);
    assert.is(ranges[0], undefined);
    for (const range of ranges.slice(1)) assert.match(range ?? "", /^bytes=\d+-$/);
  }));

test("what an abort or a dead process leaves is continued by the next", () =>
  inFolder(async (folder) => {
    hub.misbehaviour = { rate: 3_000_000 };
    const abort = new AbortController();
    const onProgress = ({ done }: { done: number }): void => {
      if (done > 1_000_000) abort.abort();
    };
    await refusal("aborted", () => pull(hub, folder, "org/single", { signal: abort.signal, onProgress }));
    await assertAbsent(folder);
    const kept = (await tree(folder))[`${blobs}/${etag}.incomplete`];
    assert.ok(typeof kept === "number" && kept > 500_000, `kept ${kept}`);
    hub.misbehaviour = {};
    const { fetchedBytes } = await pull(hub, folder, "org/single");
    assert.ok(fetchedBytes < 2_600_000, `${fetchedBytes}`);
    await assertWhole(folder);
  }));

test("a server without ranges sends everything again, and nothing is doubled", () =>
  inFolder(async (folder) => {
    hub.misbehaviour = { without: ["ranges"], cut: { path, after: 1_500_000, times: 1 } };
    await pull(hub, folder, "org/single");
    await assertWhole(folder);
  }));

test("a wrong file is thrown away and named, and fetched anew the next time", async () => {
  for (const corrupt of [path, "config.json", "tokenizer.json"]) {
    await inFolder(async (folder) => {
      hub.misbehaviour = { corrupt };
      await refusal("bad_file", () => pull(hub, folder, "org/single"), `org/single/${corrupt}`, "thrown away");
      for (const name of Object.keys(await tree(folder))) assert.not.ok(name.includes(`${NEW}/${corrupt}`), name);
      hub.misbehaviour = {};
      await pull(hub, folder, "org/single");
      await assertWhole(folder);
    });
  }
});

test("a file is held to the SHA-256 that its own answer names, if nothing else names a digest", () =>
  inFolder(async (folder) => {
    hub.misbehaviour = { misnamed: path, without: ["tree", "paths-info", "siblings"], corrupt: path };
    await refusal("bad_file", () => pull(hub, folder, "org/single"), `org/single/${path}`, "its SHA-256 is");
    hub.misbehaviour = { ...hub.misbehaviour, corrupt: "another" };
    await pull(hub, folder, "org/single");
  }));

test("files that a server gives one ETag stay apart", async () => {
  for (const without of [[], ["tree", "paths-info", "siblings"]] as const) {
    await inFolder(async (folder) => {
      hub.misbehaviour = { oneEtag: 'W/"66f2c1a0-493e0"', without };
      await pull(hub, folder, "org/sharded");
      for (const [name, content] of Object.entries(repos["org/sharded"]?.commits[0]?.files ?? {})) {
        if (name === "model-00003-of-00003.safetensors") continue;
        const bytes = await readFile(join(folder, "models--org--sharded/snapshots", NEW, name));
        assert.ok(bytes.equals(Buffer.from(content)), `${name}, without ${without}`);
      }
    });
  }
});

test("a damaged remainder of an earlier download is noticed at the end, and replaced", () =>
  inFolder(async (folder) => {
    await mkdir(join(folder, blobs), { recursive: true });
    await writeFile(join(folder, blobs, `${etag}.incomplete`), noise(500_000, 9));
    const { notices } = await pull(hub, folder, "org/single");
    assert.match(notices.join("\n"), /left of an earlier download of org\/single\/model\.safetensors was wrong/);
    await assertWhole(folder);
  }));

test("a remainder longer than the file is dropped", () =>
  inFolder(async (folder) => {
    await mkdir(join(folder, blobs), { recursive: true });
    await writeFile(join(folder, blobs, `${etag}.incomplete`), noise(3_000_001, 9));
    await pull(hub, folder, "org/single");
    await assertWhole(folder);
  }));

test("a server that lies about lengths is caught, whichever way", () =>
  inFolder(async (folder) => {
    for (const size of [2_999_999, 3_000_001]) {
      hub.misbehaviour = { lie: { path, size } };
      await refusal(
        "bad_file",
        () => pull(hub, folder, "org/single"),
        `org/single/${path}`,
        "3000000 bytes",
        String(size),
      );
      await assertAbsent(folder);
    }
  }));

test("a web page is never a file", () =>
  inFolder(async (folder) => {
    for (const html of ["config.json", "*"]) {
      hub.misbehaviour = { html };
      await refusal("not_found", () => pull(hub, folder, "org/single"), "sent a web page");
      for (const name of Object.keys(await tree(folder))) assert.not.match(name, /\/config\.json|refs/);
    }
  }));

test("a server that pauses is asked again, and in the end given up", () =>
  inFolder(async (folder) => {
    const patience = { patienceMs: 200 };
    hub.misbehaviour = { stall: { path, after: 1_200_000, times: 2 } };
    await pull(hub, folder, "org/single", patience);
    await assertWhole(folder);
  }));

test("a server that never answers is given up, and what has come is kept", () =>
  inFolder(async (folder) => {
    hub.misbehaviour = { stall: { path, after: -1, times: 100 } };
    await refusal(
      "not_found",
      () => pull(hub, folder, "org/single", { patienceMs: 100 }),
      "nothing came from the server for 0.1 s",
    );
    await assertAbsent(folder);
    // Nor is one that says no length waited for without end.
    hub.misbehaviour = {
      ...hub.misbehaviour,
      without: ["tree", "siblings", "paths-info"],
      lie: { path, size: Number.NaN },
    };
    await refusal(
      "not_found",
      () => pull(hub, folder, "org/single", { patienceMs: 100 }),
      "nothing came from the server for 0.1 s",
    );
  }));

test("a busy server is asked again", () =>
  inFolder(async (folder) => {
    hub.misbehaviour = { busy: 3 };
    await pull(hub, folder, "org/single");
    await assertWhole(folder);
    hub.misbehaviour = { busy: 100 };
    await refusal("not_found", () => pull(hub, folder, "org/sharded"), "503", "Try again later");
  }));

test("each optional route and header may be missing", async () => {
  const all: readonly Misbehaviour["without"][] = [
    ["info"],
    ["revision"],
    ["info", "revision"],
    ["tree"],
    ["tree", "siblings"],
    ["siblings"],
    ["head"],
    ["etag"],
    ["linked"],
    ["head", "siblings"],
    ["tree", "head"],
    ["linked", "tree"],
    ["commits"],
    ["info", "revision", "tree", "paths-info"],
    ["info", "revision", "tree", "paths-info", "linked"],
  ];
  for (const without of all) {
    await inFolder(async (folder) => {
      hub.misbehaviour = { without: without ?? [] };
      const { commit, files } = await pull(hub, folder, "org/single").catch((error: Error) => {
        throw new Error(`without ${without}: ${error.message}`);
      });
      assert.is(commit, NEW, `without ${without}`);
      for (const file of ["config.json", path, "tokenizer.json"])
        assert.ok(files.includes(file), `${without}: ${file}`);
      // Named by what is left to name it by.
      if (!without?.includes("linked") || !without.includes("tree")) await assertWhole(folder);
      const bytes = await readFile(join(folder, "models--org--single/snapshots", NEW, path));
      assert.is(createHash("sha256").update(bytes).digest("hex"), etag);
    });
  }
});

test("a server that lists nothing is asked file by file, and what it lacks is remembered", () =>
  inFolder(async (folder) => {
    hub.misbehaviour = { without: ["info", "revision", "tree", "paths-info"] };
    await pull(hub, folder, "org/sharded");
    const absent = `models--org--sharded/.no_exist/${NEW}/generation_config.json`;
    assert.is((await tree(folder))[absent], 0);
    await refusal("not_found", () => pull(hub, folder, "org/gguf:Q8_0"));
    assert.is((await pull(hub, folder, "org/gguf/a-Q8_0.gguf")).gguf, "a-Q8_0.gguf");
  }));

test("an optional file that is refused is left out with a notice; a needed one ends the download", () =>
  inFolder(async (folder) => {
    hub.misbehaviour = { refuse: { path: "tokenizer_config.json", status: 404 } };
    const { files, notices } = await pull(hub, folder, "org/single");
    assert.not.ok(files.includes("tokenizer_config.json"));
    assert.match(notices.join("\n"), /org\/single\/tokenizer_config\.json cannot be had, and is left out/);
    hub.misbehaviour = { refuse: { path: "config.json", status: 404 } };
    await refusal("not_found", () => pull(hub, folder, "org/sharded"), "org/sharded/config.json");
  }));

test("without a hub, what is in the cache serves, with a notice", () =>
  inFolder(async (folder) => {
    await pull(hub, folder, "org/single");
    hub.misbehaviour = { busy: 100 };
    const { commit, notices } = await pull(hub, folder, "org/single");
    assert.is(commit, NEW);
    assert.match(notices.join("\n"), /taken from the cache as it is: .*503/);
    hub.misbehaviour = { html: "*" };
    assert.is((await pull(hub, folder, "org/single")).commit, NEW);
  }));

test("a full disk and a cache that cannot be written are typed errors", () =>
  inFolder(async (folder) => {
    await mkdir(join(folder, blobs), { recursive: true });
    // Linux has a disk that is always full.
    await symlink("/dev/full", join(folder, blobs, `${etag}.incomplete`));
    await refusal("not_written", () => pull(hub, folder, "org/single"), "the disk is full", "models list");
    await assertAbsent(folder);
    await writeFile(join(folder, "file"), "");
    await refusal("not_written", () => pull(hub, join(folder, "file/cache"), "org/single"), "HF_HUB_CACHE");
  }));

test.run();
