/** The digest of weights: of one file, and of shards whatever order they are listed in. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { digestsFor, weightsDigest } from "../../src/cli/weights-digest.ts";

const signal = new AbortController().signal;
const sha = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");

test("one file's digest is that file's", async () => {
  const file = await readFile("test/golden/gpt2-tiny/model.safetensors");
  assert.is(await weightsDigest("test/golden/gpt2-tiny", signal), sha(file));
});

test("shards: the digest of their sorted digests", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-digest-"));
  try {
    const weight_map: Record<string, string> = { a: "z.safetensors", b: "y.safetensors", c: "z.safetensors" };
    await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map }));
    for (const name of ["y", "z"]) await writeFile(join(folder, `${name}.safetensors`), `bytes of ${name}`);
    const expected = sha([sha("bytes of y"), sha("bytes of z")].sort().join("\n"));
    assert.is(await weightsDigest(folder, signal), expected);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("nothing is read for bundles that name no digest, nor for models that are elsewhere", async () => {
  assert.equal(await digestsFor([{}], "no/such/folder", signal), {});
  assert.equal(await digestsFor([{ weights_sha256: "0" }], "https://example.org/model", signal), {});
});

test.run();
