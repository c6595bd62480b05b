/**
 * Refusals by file, stage and field that depend on more than one file; those of single files are in
 * test/data/bundle-cases.json.
 */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { type StoredTensor, writeSafetensors } from "../../src/formats/safetensors.ts";
import { readBundle } from "../../src/interventions/bundle.ts";
import type { Bundle } from "../../src/interventions/bundle-types.ts";
import { baseOf, compose } from "../../src/interventions/compose.ts";
import { positionWarnings } from "../../src/interventions/position-warnings.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { refusal } from "../formats/refusal.ts";
import { bundleOf, filled, gpt2 } from "./model-configs.ts";

type Tensors = Readonly<Record<string, StoredTensor>>;

/** What a person's program does: writes the file by other means than writeBundle, reads it, composes it. */
function run(config: ModelConfig, stages: readonly unknown[], tensors: Tensors, extra: object = {}): void {
  const manifest = JSON.stringify({ name: "test", base: baseOf(config), stages, ...extra });
  const file = writeSafetensors(new Map(Object.entries(tensors)), { format: "sluice.interventions/1", manifest });
  compose(config, [{ bundle: readBundle(file, "b.safetensors") }]);
}

const scale = { id: "n", kind: "neuron_scale", site: "mlp_out", layers: [1] };
const scaleTensors = { "n.1.scale": filled([8]) };
const ace = { id: "a", kind: "affine", method: "ace", site: "resid_post", layers: [0] };
const aceTensors = { "a.0.direction": filled([8]), "a.0.reference": filled([8]) };
const mask = { id: "e", kind: "edge_mask", destinations: "heads", edges: [["embed", "logits", 0.5]] };

test("refused: a base that does not fit, field by field", async () => {
  const base = baseOf(gpt2);
  for (const field of Object.keys(base) as (keyof typeof base)[]) {
    const other = field === "model_type" ? "llama" : (base[field] as number) + 1;
    await refusal(
      "bad_bundle",
      () => run(gpt2, [scale], scaleTensors, { base: { ...base, [field]: other } }),
      `base.${field} is ${JSON.stringify(other)}, but the model's is`,
    );
    const { [field]: _, ...without } = base;
    await refusal("bad_bundle", () => run(gpt2, [scale], scaleTensors, { base: without }), `base.${field} is missing`);
    const text = field === "model_type" ? 1 : String(base[field]);
    await refusal(
      "bad_bundle",
      () => run(gpt2, [scale], scaleTensors, { base: { ...base, [field]: text } }),
      `base.${field} is`,
    );
  }
});

test("refused: a file that is damaged", async () => {
  await refusal("bad_file", () => readBundle(new Uint8Array(7), "b.safetensors"), "b.safetensors");
});

const scaleBundle = (): Bundle => bundleOf(gpt2, [scale], scaleTensors);

test("refused: ids that clash across bundles, with the way out; prefixes take it", async () => {
  const bundle = scaleBundle();
  const clash = () => compose(gpt2, [{ bundle }, { bundle: { ...bundle, file: "c" } }]);
  await refusal("bad_bundle", clash, 'c: stage "n": id is also a stage of b.safetensors', "Give one of them a prefix");
  const { stages } = compose(gpt2, [{ bundle, prefix: "x" }, { bundle }]);
  assert.equal(
    stages.map(({ id }) => id),
    ["x/n", "n"],
  );
  await refusal("usage", () => compose(gpt2, [{ bundle, prefix: "a/b" }]), '"a/b"');
});

test("refused: a second edge mask, be it in another bundle", async () => {
  const second = () =>
    compose(gpt2, [{ bundle: bundleOf(gpt2, [mask]) }, { bundle: bundleOf(gpt2, [mask]), prefix: "p" }]);
  await refusal("bad_bundle", second, 'stage "p/e": kind is edge_mask, and so is stage "e"');
});

test("refused: a stage at attn_out where heads have masked edges, in those layers alone", async () => {
  const cut = { ...mask, edges: [["blocks.1.head.1", "logits", 1]] };
  const at = (layers: readonly number[]) => {
    const tensors = Object.fromEntries(layers.map((layer) => [`n.${layer}.scale`, filled([8])]));
    run(gpt2, [{ ...scale, site: "attn_out", layers }, cut], tensors);
  };
  at([0, 2]);
  await refusal("bad_bundle", () => at([0, 1]), 'stage "n": site is attn_out in layer 1', "attn_z");
});

test("refused: strengths and alphas that name no stage, and such as are no numbers", async () => {
  const bundle = bundleOf(gpt2, [scale, ace], { ...scaleTensors, ...aceTensors });
  const strengths = (id: string, value: number) => () =>
    compose(gpt2, [{ bundle }], { strengths: new Map([[id, value]]) });
  const params = (id: string, alpha: number) => () =>
    compose(gpt2, [{ bundle }], { params: new Map([[id, { alpha }]]) });
  await refusal("usage", strengths("x", 1), 'No stage is called "x"', "There are n, a.");
  await refusal("usage", strengths("n", Number.NaN), 'strength of stage "n" is NaN');
  await refusal("usage", params("n", 1), 'No stage with an alpha is called "n"', "There are a.");
  await refusal("usage", params("a", Infinity), 'alpha of stage "a" is Infinity');
  await refusal("usage", () => compose(gpt2, [{ bundle }], { edges: "all" }), "no stage is an edge_mask");
  const { stages } = compose(gpt2, [{ bundle }], {
    strengths: new Map([["n", -3]]),
    params: new Map([["a", { alpha: 0.25 }]]),
  });
  assert.is(stages[0]?.strength, -3);
  assert.ok(stages[1]?.kind === "affine" && stages[1].alpha === 0.25);
});

test("refused: edges to be set later that do not exist, as the caller's mistake and not the bundle's", async () => {
  const widen =
    (...edges: readonly (readonly [string, string])[]) =>
    () =>
      compose(gpt2, [{ bundle: bundleOf(gpt2, [mask]) }], { edges });
  widen(["embed", "blocks.0.mlp"])();
  await refusal("usage", widen(["blocks.3.mlp", "logits"]), 'settings.edges names "blocks.3.mlp", no source');
  await refusal("usage", widen(["embed", "blocks.0.q.0"]), "settings.edges names", "no destination of this model");
  await refusal("usage", widen(["blocks.1.mlp", "blocks.1.head.0"]), "settings.edges names", "which is not an edge");
});

test("another model's weights and tokenizer are a warning, and so are positions after the end", () => {
  const digest = "ab".repeat(32);
  const base = { ...baseOf(gpt2), weights_sha256: digest, tokenizer_sha256: digest };
  const late = { ...scale, positions: { from: 9 } };
  const bundle = bundleOf(gpt2, [late], scaleTensors, { base });
  const same = { weights_sha256: digest.toUpperCase(), tokenizer_sha256: digest };
  assert.equal(compose(gpt2, [{ bundle }], { digests: same }).warnings, []);
  assert.equal(compose(gpt2, [{ bundle }]).warnings, []);
  const other = "cd".repeat(32);
  const composed = compose(gpt2, [{ bundle }], { digests: { weights_sha256: other, tokenizer_sha256: other } });
  assert.match(composed.warnings[0] ?? "", /weights_sha256/);
  assert.match(composed.warnings[1] ?? "", /tokenizer_sha256/);
  const [warning = ""] = positionWarnings(composed.stages, { promptLength: 4, length: 9 });
  assert.match(warning, /"n" \(positions {"from":9}\) acts on none of this run's tokens .* 9 tokens/);
  assert.equal(positionWarnings(composed.stages, { promptLength: 4, length: 10 }), []);
});

test("refused: more stages than any model has places for", async () => {
  const many = Array.from({ length: 4097 }, (_, i) => ({ ...scale, id: `n${i}` }));
  await refusal("bad_bundle", () => run(gpt2, many, {}), "stages has 4097 entries; 4096 at most are read");
});

test.run();
