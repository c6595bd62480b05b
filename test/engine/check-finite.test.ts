/** `model.checkFinite` names the first operation whose output is not finite, what it read, and the stage that made it. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openCheckpoint } from "../../src/formats/huggingface.ts";
import { openSource } from "../../src/formats/open-source.ts";
import type { StoredTensor } from "../../src/formats/safetensors.ts";
import { readJson } from "../../src/formats/source.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { modelFiles } from "../support/model-files.ts";
import { dampStage, pushStage } from "../support/stages.ts";

const TOKENS = [2, 0, 1, 1, 0, 2];
const WIDTH = 48;

/** The sorting model with tensors times factors. */
async function scaledModel(factors: Readonly<Record<string, number>>): Promise<File[]> {
  const files = await openSource(location("weights/gpt-nano-sort"));
  try {
    const checkpoint = await openCheckpoint(files);
    const tensors = new Map<string, StoredTensor>();
    for (const [tensor, { dtype, shape, byteLength }] of checkpoint.tensors) {
      const bytes = new Uint8Array(await checkpoint.read(tensor, 0, byteLength));
      const values = new Float32Array(bytes.buffer);
      const factor = factors[tensor] ?? 1;
      for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) * factor;
      tensors.set(tensor, { dtype, shape, bytes });
    }
    return modelFiles({ tensors, config: (await readJson(files, "config.json")) as Record<string, unknown> });
  } finally {
    await files.close();
  }
}

test("a sound model is finite at every site, and its largest value is where the logits have it", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  try {
    const { finite, first, sites, largest, tokens } = await model.checkFinite(TOKENS);
    assert.equal([finite, first, tokens], [true, null, TOKENS]);
    const looked = model.sites.filter(({ name }) => !name.startsWith("attn_pattern"));
    assert.is(
      sites,
      looked.reduce((sum, { layers }) => sum + (layers ?? 1), 0) + 1,
      "all but the softmax, and the logits",
    );
    // In this model it is a logit.
    assert.is(largest.site, "logits");
    const { data, shape } = await model.logits(TOKENS);
    const most = data.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    assert.is(largest.value, most);
    assert.is(largest.position, Math.floor(data.findIndex((x) => Math.abs(x) === most) / (shape[1] as number)));
  } finally {
    model.dispose();
  }
});

test("weights that are too large: the operation that leaves float32, with finite inputs", async () => {
  const cases = [
    [{ "1.mlp.c_proj": 1e25 }, "attn_norm.2", "norm", "NaN", ["resid_post.1"]],
    [{ "1.ln_2": 1e30, "1.mlp.c_fc": 1e20 }, "mlp_pre.1", "linear", undefined, ["mlp_norm.1"]],
    [{ "0.attn.c_attn": 1e20 }, "attn_z.0", "attention", "NaN", ["attn_q.0", "attn_k.0", "attn_v.0"]],
  ] as const;
  for (const [factors, site, operation, value, inputs] of cases) {
    const named = Object.entries(factors).map(([name, factor]) => [`transformer.h.${name}.weight`, factor]);
    const model = await load(await scaledModel(Object.fromEntries(named)));
    try {
      const { finite, first } = await model.checkFinite(TOKENS);
      assert.not(finite, site);
      assert.equal([first?.site, first?.operation, first?.layer], [site, operation, Number(site.slice(-1))]);
      assert.ok(value === undefined || first?.value === value, first?.value);
      assert.equal(
        first?.inputs.map((input) => [input.site, input.finite, input.largest > 0]),
        inputs.map((input) => [input, true, true]),
      );
      assert.equal([first?.inputs_finite, first?.stage, first?.finite_without_stages], [true, null, null]);
      assert.is(first?.token, TOKENS[first?.position as number]);
    } finally {
      model.dispose();
    }
  }
});

test("of several stages at a site, the one that leaves it; and only where it acts", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  try {
    const push = pushStage(new Float32Array(WIDTH).fill(3e38));
    const stages = [
      dampStage(4 * WIDTH, 0),
      { ...push, id: "first", strength: 0.5 },
      { ...push, id: "second", positions: { from: 3 } },
    ] as const;
    const edited = model.withStages({ stages, warnings: [] });
    const { first } = await edited.checkFinite(TOKENS);
    assert.equal(
      [first?.site, first?.position, first?.value, first?.count, first?.positions, first?.stage],
      ["resid_post.1", 3, "Infinity", WIDTH, 3, "second"],
    );
    assert.is(first?.finite_without_stages, true);
  } finally {
    model.dispose();
  }
});

test.run();
