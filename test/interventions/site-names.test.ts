/** Site names: the dictionary fits what models offer, and TransformerLens' names reach the same values. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { offeredSites } from "../../src/compile/captures.ts";
import { fuse } from "../../src/compile/fuse.ts";
import { endSiteKinds, layerSiteKinds } from "../../src/graph/site.ts";
import { listSites, SluiceError } from "../../src/index.ts";
import dictionary from "../../src/interventions/site-names.json" with { type: "json" };
import { ourSiteKind, ourSiteName } from "../../src/interventions/site-names.ts";
import { affineSites, neuronSites } from "../../src/interventions/stage.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

for (const name of ["gpt2-tiny", "llama3-tiny"]) {
  test(`${name}: sites are those that can be captured, with their widths and stages`, async () => {
    const model = await load(location(`test/golden/${name}`));
    try {
      const { graph } = model.internals;
      const offered = offeredSites(graph, fuse(graph));
      const listed = new Map(
        model.sites.flatMap(({ name: site, layers, width }) =>
          Array.from(
            { length: layers ?? 1 },
            (_, layer) => [site.replace("LAYER", String(layer)), width ?? 0] as const,
          ),
        ),
      );
      assert.equal([...listed.keys()].sort(), [...offered.keys()].sort());
      for (const [site, { width }] of offered) assert.is(listed.get(site), width, site);
      const kinds = listSites(model.config).map(
        ({ name: site, stages }) => [site.replace(".LAYER", ""), stages] as const,
      );
      for (const [site, stages] of kinds) {
        assert.is(stages.includes("affine"), (affineSites as readonly string[]).includes(site), site);
        assert.is(stages.includes("neuron_scale"), (neuronSites as readonly string[]).includes(site), site);
      }
      const own = ["resid_mid.1", "attn_q.0", name === "gpt2-tiny" ? "mlp_pre.1" : "gate_pre.1"];
      const theirs = ["blocks.1.hook_resid_mid", "blocks.0.attn.hook_q", "blocks.1.mlp.hook_pre"];
      const captured = await model.capture([1, 2, 3], [...own, ...theirs]);
      assert.equal([...captured.keys()], [...own, ...theirs]);
      own.forEach((site, i) => assert.equal(captured.get(theirs[i] as string), captured.get(site), site));
    } finally {
      model.dispose();
    }
  });
}

test("the dictionary has every kind of site once", () => {
  assert.equal(dictionary.map(({ site }) => site).sort(), [...layerSiteKinds, ...endSiteKinds].sort());
});

const gpt2 = { mlp: "plain", learned_positions: true } as Parameters<typeof ourSiteName>[0];
const llama = { mlp: "gated", learned_positions: false } as Parameters<typeof ourSiteName>[0];

test("names are translated where both mean the same values", () => {
  assert.is(ourSiteName(gpt2, "blocks.11.attn.hook_z"), "attn_z.11");
  assert.is(ourSiteName(llama, "blocks.3.mlp.hook_pre_linear"), "up.3");
  assert.is(ourSiteName(llama, "hook_embed"), "embed");
  assert.is(ourSiteName(gpt2, "resid_post.1"), "resid_post.1");
  for (const other of ["blocks.x.hook_resid_post", "blocks..hook_resid_post", "blocks.1.hook_resid", "constructor", ""])
    assert.is(ourSiteName(gpt2, other), other);
  assert.is(ourSiteKind(gpt2, "hook_resid_post"), "resid_post");
  assert.is(ourSiteKind(gpt2, "mlp.hook_post"), "mlp_post");
  assert.is(ourSiteKind(gpt2, "mlp_out"), "mlp_out");
});

test("a name whose values differ is refused, and says why", () => {
  const refused = (config: typeof gpt2, name: string, says: RegExp) =>
    assert.throws(
      () => ourSiteName(config, name),
      (error: unknown) => error instanceof SluiceError && says.test(error.message),
    );
  refused(gpt2, "hook_embed", /leaves the position embedding out/);
  refused(llama, "ln_final.hook_normalized", /before the norm's gain and bias/);
  refused(gpt2, "blocks.2.ln1.hook_normalized", /attn_norm\.2 is after them/);
});

test.run();
