/** Digests of files that a person picked, in Node and in pages, whose SHA-256 is another. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { digestsFor } from "../../src/index.ts";
import { bundleOf, gpt2 } from "../interventions/model-configs.ts";

test("of files that were picked it is the same as of a folder's", async () => {
  const bytes = new Uint8Array((4 << 20) + 77).map((_, i) => (i * 31) >> 3);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const weights_sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const bundle = bundleOf(gpt2, [{ id: "s", kind: "neuron_scale", site: "mlp_post" }]);
  const base = { ...bundle.manifest.base, weights_sha256: "0".repeat(64) };
  const naming = { ...bundle, manifest: { ...bundle.manifest, base } };
  assert.equal(await digestsFor([naming], [new File([bytes], "model.safetensors")]), { weights_sha256 });
});

test.run();
