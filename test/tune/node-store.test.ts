/** The files that Node remembers tuning in. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openStore } from "../../src/tune/node-store.ts";

test("files are whole, in a folder made on demand, and no other files remain", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-"));
  try {
    const store = openStore([join(folder, "a/b"), join(folder, "other")]);
    assert.is(await store.read("x.json"), null);
    const texts = Array.from({ length: 8 }, (_, i) => `${i}`.repeat(10_000));
    await Promise.all(texts.map((text) => store.write("x.json", text)));
    assert.ok(texts.includes((await store.read("x.json")) ?? ""));
    assert.equal(await readdir(join(folder, "a/b")), ["x.json"]);
    assert.is(store.place("x.json"), join(folder, "a/b/x.json"));
    await writeFile(join(folder, "file"), "");
    // The next folder serves if the first cannot be written.
    const second = openStore([join(folder, "file"), join(folder, "c")]);
    await second.write("x.json", "second");
    assert.is(await openStore([join(folder, "c")]).read("x.json"), "second");
    const failed = await openStore([join(folder, "file")])
      .write("x.json", "")
      .catch((error: unknown) => error);
    assert.instance(failed, Error);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test.run();
