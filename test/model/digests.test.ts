/** The digests that bundles are compared with: of one file, of shards whatever their order, and none unasked. */
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Bundle, digestsFor } from "../../src/index.ts";
import { bundleOf, gpt2 } from "../interventions/model-configs.ts";
import { location } from "../support/files.ts";
import { inFolder } from "../support/folder.ts";
import { codeOf } from "../support/refusal-code.ts";

const sha = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");

/** A bundle that names digests of these files. */
function naming(...files: readonly ("weights_sha256" | "tokenizer_sha256")[]): Bundle {
  const bundle = bundleOf(gpt2, [{ id: "s", kind: "neuron_scale", site: "mlp_post" }]);
  const base = { ...bundle.manifest.base, ...Object.fromEntries(files.map((file) => [file, "0".repeat(64)])) };
  return { ...bundle, manifest: { ...bundle.manifest, base } };
}

test("of one file it is that file's, and only what some bundle names is read", async () => {
  const model = location("weights/stories260K");
  const weights_sha256 = sha(await readFile(join(model, "model.safetensors")));
  const tokenizer_sha256 = sha(await readFile(join(model, "tokenizer.json")));
  const [plain, weights, tokenizer] = [naming(), naming("weights_sha256"), naming("tokenizer_sha256")];
  assert.equal(await digestsFor([plain, weights], model), { weights_sha256 });
  assert.equal(await digestsFor([{ bundle: tokenizer, prefix: "x" }], model), { tokenizer_sha256 });
  assert.equal(await digestsFor([tokenizer, weights], pathToFileURL(model)), { weights_sha256, tokenizer_sha256 });
  assert.equal(await digestsFor([plain], "no/such/folder"), {});
  assert.equal(await digestsFor([], "no/such/folder"), {});
  assert.is(await codeOf(() => digestsFor([weights], "no/such/folder")), "not_found");
});

test("of shards it is the digest of their sorted digests", () =>
  inFolder(async (folder) => {
    const weight_map = { a: "z.safetensors", b: "y.safetensors", c: "z.safetensors" };
    await writeFile(join(folder, "model.safetensors.index.json"), JSON.stringify({ weight_map }));
    for (const name of ["y", "z"]) await writeFile(join(folder, `${name}.safetensors`), `bytes of ${name}`);
    const expected = sha([sha("bytes of y"), sha("bytes of z")].sort().join("\n"));
    // Without a tokenizer there is nothing to compare its digest with.
    assert.equal(await digestsFor([naming("weights_sha256", "tokenizer_sha256")], folder), {
      weights_sha256: expected,
    });
  }));

test("files longer than what is read at a time, and a signal", () =>
  inFolder(async (folder) => {
    const bytes = new Uint8Array((8 << 20) + 3).map((_, i) => (i * 31) >> 3);
    await writeFile(join(folder, "model.safetensors"), bytes);
    assert.equal(await digestsFor([naming("weights_sha256")], folder), { weights_sha256: sha(bytes) });
    const signal = AbortSignal.abort();
    assert.is(await codeOf(() => digestsFor([naming("weights_sha256")], folder, { signal })), "aborted");
  }));

test.run();
