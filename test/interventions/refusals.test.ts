/** Every refusal of the format, by file, stage and field. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { type StoredTensor, storeFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { readBundle } from "../../src/interventions/bundle.ts";
import type { Bundle } from "../../src/interventions/bundle-types.ts";
import { baseOf, compose } from "../../src/interventions/compose.ts";
import { positionWarnings } from "../../src/interventions/position-warnings.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { refusal } from "../formats/refusal.ts";
import { bundleOf, filled, gpt2, llama, vector } from "./model-configs.ts";

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
const lowRank = { id: "l", kind: "affine", method: "low_rank", site: "resid_mid", layers: [2] };
const lowRankTensors = { "l.2.v": filled([3, 8]), "l.2.u": filled([3, 8]), "l.2.c": filled([3]) };
const mask = { id: "e", kind: "edge_mask", destinations: "heads", edges: [["embed", "logits", 0.5]] };
const ablation = { ...ace, method: "directional_ablation" };
const addition = { ...ace, method: "addition" };
const nan = vector(1, 1, Number.NaN, 1, 1, 1, 1, 1);

test("what the refusals are variations of is not refused", () => {
  run(gpt2, [scale, ace, lowRank, mask], { ...scaleTensors, ...aceTensors, ...lowRankTensors });
});

const cases: readonly (readonly [what: string, stage: object, tensors: Tensors, field: string])[] = [
  ["an unknown kind", { ...scale, kind: "patch" }, {}, 'kind is "patch"'],
  ["no kind", { id: "n" }, {}, "kind is missing"],
  ["an unknown site", { ...scale, site: "mlp_in" }, scaleTensors, 'site is "mlp_in"'],
  ["neurons in the stream", { ...scale, site: "resid_post" }, scaleTensors, 'site is "resid_post"'],
  ["a site for captures only", { ...scale, site: "attn_q" }, scaleTensors, 'site is "attn_q"'],
  ["a direction at neurons", { ...ace, site: "mlp_pre" }, aceTensors, 'site is "mlp_pre"'],
  ["a site that GPT-2 lacks", { ...scale, site: "gate_pre" }, { "n.1.scale": filled([16]) }, 'site is "gate_pre"'],
  ["an unknown method", { ...ace, method: "caa" }, aceTensors, 'method is "caa"'],
  ["an unknown gate", { ...ace, gate: "gelu" }, aceTensors, 'gate is "gelu"'],
  ["an unknown gate with bounds", { ...ace, gate: { clip: [0, 1] } }, aceTensors, "gate.clip is not a field"],
  ["a null gate", { ...ace, gate: null }, aceTensors, "gate is null"],
  ["a gate on addition", { ...addition, gate: "identity" }, aceTensors, "gate has no meaning"],
  ["lo > hi", { ...lowRank, gate: { clamp: [1, -1] } }, lowRankTensors, "gate.clamp is [1,-1]"],
  ["one bound", { ...lowRank, gate: { clamp: [1] } }, lowRankTensors, "gate.clamp is [1]"],
  ["an alpha that is no number", { ...ablation, alpha: "1" }, aceTensors, "alpha"],
  ["a strength as text", { ...scale, strength: "1" }, scaleTensors, 'strength is "1"'],
  ["a strength that is true", { ...scale, strength: true }, scaleTensors, "strength is true"],
  ["a strength beyond float32", { ...scale, strength: 1e39 }, scaleTensors, "strength is 1e+39"],
  ["an alpha of null", { ...ace, alpha: null }, aceTensors, "alpha is null"],
  ["a field nobody reads", { ...scale, strenght: 0 }, scaleTensors, "strenght is not a field"],
  ["a layer out of range", { ...scale, layers: [1, 3] }, scaleTensors, "layers lists layer 3"],
  ["a negative layer", { ...scale, layers: [-1] }, scaleTensors, "layers is [-1]"],
  ["a layer as text", { ...scale, layers: ["1"] }, scaleTensors, 'layers is ["1"]'],
  ["one layer without a list", { ...scale, layers: 1 }, scaleTensors, "layers is 1"],
  ["a repeated layer", { ...scale, layers: [1, 1] }, scaleTensors, "layers lists layer 1 twice"],
  ["no layers", { ...scale, layers: [] }, scaleTensors, "layers is empty"],
  ["an unknown scope", { ...scale, positions: "answer" }, scaleTensors, 'positions is "answer"'],
  ["an empty range", { ...scale, positions: { from: 4, to: 4 } }, scaleTensors, "positions is"],
  ["a range from nowhere", { ...scale, positions: { to: 4 } }, scaleTensors, "positions.from is missing"],
  ["a token beyond the vocabulary", { ...scale, positions: { not: { tokens: [13] } } }, scaleTensors, "names token 13"],
  ["positions of an edge mask", { ...mask, positions: [0] }, {}, "positions has no meaning"],
  ["a range with a step", { ...scale, positions: { from: 0, step: 2 } }, scaleTensors, "positions.step is not a field"],
  ["no tensor in one layer", { ...scale, layers: "all" }, scaleTensors, "n.0.scale is missing"],
  ["a narrow scale", scale, { "n.1.scale": filled([7]) }, "n.1.scale has shape [7], not [8]"],
  ["a scale of two axes", scale, { "n.1.scale": filled([1, 8]) }, "n.1.scale has shape [1, 8]"],
  ["a wide shift", scale, { "n.1.shift": filled([9]) }, "n.1.shift has shape [9]"],
  ["a scale of NaN", scale, { "n.1.scale": nan }, "n.1.scale holds NaN at index 2"],
  ["infinite bias", lowRank, { ...lowRankTensors, "l.2.bias": filled([8], Infinity) }, "l.2.bias holds Infinity"],
  [
    "whole numbers",
    scale,
    { "n.1.scale": { dtype: "I32", shape: [8], bytes: new Uint8Array(32) } },
    "n.1.scale is of dtype I32",
  ],
  ["no direction", ace, { "a.0.reference": filled([8]) }, "a.0.direction is missing"],
  ["no reference", ace, { "a.0.direction": filled([8]) }, "a.0.reference is missing"],
  ["a zero direction", ace, { ...aceTensors, "a.0.direction": filled([8], 0) }, "a.0.direction is zero"],
  ["a zero direction to ablate", ablation, { "a.0.direction": filled([8], 0) }, "a.0.direction is zero"],
  ["no v", lowRank, { "l.2.u": filled([3, 8]) }, "l.2.v is missing"],
  ["no u", lowRank, { "l.2.v": filled([3, 8]) }, "l.2.u is missing"],
  ["ranks that differ", lowRank, { ...lowRankTensors, "l.2.u": filled([2, 8]) }, "l.2.u has shape [2, 8], not [3, 8]"],
  ["a c of another rank", lowRank, { ...lowRankTensors, "l.2.c": filled([2]) }, "l.2.c has shape [2], not [3]"],
  ["a rank of 0", lowRank, { "l.2.v": filled([0, 8]), "l.2.u": filled([0, 8]) }, "l.2.v has shape [0, 8]"],
  ["positions of an edge mask", { ...mask, positions: "all" }, {}, "positions has no meaning"],
  ["no destinations", { ...mask, destinations: undefined }, {}, "destinations is missing"],
  ["unknown destinations", { ...mask, destinations: "blocks" }, {}, 'destinations is "blocks"'],
  ["an unknown bias rule", { ...mask, attn_bias: "none" }, {}, 'attn_bias is "none"'],
  ["a class to replace", { ...mask, replace: { head: "zero" } }, {}, "replace.head is not a field"],
  ["a way to replace", { ...mask, replace: { mlp: "mean" } }, {}, 'replace.mlp is "mean"'],
  ["an unknown source", { ...mask, edges: [["blocks.3.mlp", "logits", 0]] }, {}, 'names "blocks.3.mlp", no source'],
  ["an unknown destination", { ...mask, edges: [["embed", "blocks.0.q.0", 0]] }, {}, "no destination of this model"],
  ["an edge backwards", { ...mask, edges: [["blocks.1.mlp", "blocks.1.head.0", 0]] }, {}, "which is not an edge"],
  ["a block that reads itself", { ...mask, edges: [["blocks.0.mlp", "blocks.0.mlp", 0]] }, {}, "which is not an edge"],
  ["an edge twice", { ...mask, edges: [...mask.edges, ["embed", "logits", 1]] }, {}, "edges[1] repeats embed → logits"],
  ["an edge of two", { ...mask, edges: [["embed", "logits"]] }, {}, "edges[0] is"],
  ["an edge above 1", { ...mask, edges: [["embed", "logits", 1.01]] }, {}, "outside [0, 1]"],
  ["a value of an edge as text", { ...mask, edges: [["embed", "logits", "0"]] }, {}, "edges[0] is"],
  ["neither edges nor mask", { ...mask, edges: undefined }, {}, "edges and the tensor e.mask are missing"],
  ["no edges and no mask", { ...mask, edges: [] }, {}, "edges and the tensor e.mask are missing"],
  ["a mask of another shape", mask, { "e.mask": filled([10, 9]) }, "e.mask has shape [10, 9], not [10, 10]"],
  ["a mask above 1", mask, { "e.mask": filled([10, 10], 1.5) }, "e.mask holds 1.5 for embed → blocks.0.head.0"],
  ["a mask of NaN", mask, { "e.mask": filled([10, 10], Number.NaN) }, "e.mask holds NaN"],
  ["constants of another shape", mask, { "e.constants": filled([9, 8]) }, "e.constants has shape [9, 8], not [10, 8]"],
  ["infinite constants", mask, { "e.constants": filled([10, 8], -Infinity) }, "e.constants holds -Infinity"],
];

for (const [what, stage, tensors, field] of cases) {
  test(`refused: ${what}`, async () => {
    const { id } = stage as { id: string };
    await refusal("bad_bundle", () => run(gpt2, [stage], tensors), `b.safetensors: stage "${id}"`, field);
  });
}

test("refused: a site that Llama lacks, and heads as destinations where they share keys", async () => {
  await refusal(
    "bad_bundle",
    () => run(llama, [{ ...scale, site: "mlp_pre" }], { "n.1.scale": filled([12]) }),
    'stage "n": site is "mlp_pre"',
    "gate_pre",
  );
  await refusal("bad_bundle", () => run(llama, [mask], {}), 'stage "e": destinations is "heads"', "qkv_groups");
  run(llama, [{ ...mask, destinations: "qkv_groups" }], {});
});

test("refused: invalid or repeated ids", async () => {
  await refusal("bad_bundle", () => run(gpt2, [{ ...scale, id: "a/b" }], {}), 'stages[0].id is "a/b"');
  await refusal("bad_bundle", () => run(gpt2, [{ ...scale, id: 3 }], {}), "stages[0].id is 3");
  await refusal("bad_bundle", () => run(gpt2, [scale, scale], scaleTensors), 'stage "n": id names two stages');
  await refusal("bad_bundle", () => run(gpt2, [7], {}), "stages[0] is 7, not an object");
  await refusal("bad_bundle", () => run(gpt2, [], {}), "stages is empty");
});

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

test("refused: fields of the manifest and its checks with other types", async () => {
  const check = { tokens: [1, 2], prompt_length: 2, top: [[3, 1.5]], atol: 0.002 };
  run(gpt2, [scale], scaleTensors, { checks: [check] });
  for (const [extra, field] of [
    [{ name: 7 }, "name is 7"],
    [{ description: null }, "description is null"],
    [{ fit: "AurA" }, 'fit is "AurA"'],
    [{ stages: {} }, "stages is {}"],
    [{ checks: {} }, "checks is {}"],
    [{ checks: [{ ...check, tokens: [] }] }, "checks[0].tokens is []"],
    [{ checks: [{ ...check, tokens: [1.5, 2] }] }, "checks[0].tokens is [1.5,2]"],
    [{ checks: [{ ...check, tokens: [1, 11] }] }, "checks[0] names token 11"],
    [{ checks: [{ ...check, prompt_length: 3 }] }, "checks[0].prompt_length is 3"],
    [{ checks: [{ ...check, top: [[3]] }] }, "checks[0].top is [[3]]"],
    [{ checks: [{ ...check, atol: -1 }] }, "checks[0].atol is -1"],
    [{ checks: [{ ...check, atol: undefined }] }, "checks[0].atol is missing"],
  ] as const) {
    await refusal("bad_bundle", () => run(gpt2, [scale], scaleTensors, extra), `b.safetensors: ${field}`);
  }
});

test("refused: files that are no bundles, or of another version", async () => {
  const read = (metadata: Record<string, string>) => readBundle(writeSafetensors(new Map(), metadata), "b.safetensors");
  await refusal("bad_bundle", () => read({}), "format is missing", "not a bundle");
  await refusal("bad_bundle", () => read({ format: "pt" }), 'format is "pt"');
  await refusal("bad_bundle", () => read({ format: "sluice.interventions/2" }), "another version");
  const format = "sluice.interventions/1";
  await refusal("bad_bundle", () => read({ format }), "manifest is missing");
  await refusal("bad_bundle", () => read({ format, manifest: "{" }), "not valid JSON");
  await refusal("bad_bundle", () => read({ format, manifest: '{"a": NaN}' }), "not valid JSON", "Infinity");
  await refusal("bad_bundle", () => read({ format, manifest: "[]" }), "the manifest is [], not an object");
  await refusal("bad_bundle", () => read({ format, manifest: '{"name": "a", "name": "b"}' }), 'holds "name" twice');
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

test("neutral values are accepted", () => {
  run(
    gpt2,
    [
      { ...scale, strength: 0 },
      { ...mask, edges: undefined },
    ],
    {
      "n.1.scale": filled([8], 1),
      "e.mask": filled([10, 10], 1),
    },
  );
  run(gpt2, [addition], { "a.0.direction": storeFloat32(new Float32Array(8), [8]) });
});

test.run();
