import { test } from "uvu";
import * as assert from "uvu/assert";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import { checkBundle } from "../../src/interventions/check.ts";
import { compose } from "../../src/interventions/compose.ts";
import { inspectBundle } from "../../src/interventions/inspect.ts";
import { mergeBundles } from "../../src/interventions/merge.ts";
import { refusal } from "../formats/refusal.ts";
import { readBytes } from "../support/files.ts";
import { bundleOf, filled, gpt2, llama, vector } from "./model-configs.ts";

const edges = { id: "e", kind: "edge_mask", destinations: "heads", edges: [["blocks.0.head.1", "blocks.2.mlp", 0]] };
const calm = { id: "calm", kind: "affine", method: "ace", site: "resid_post", layers: [1], alpha: 0.25, gate: "relu" };
const aura = { id: "aura", kind: "neuron_scale", site: "mlp_out", layers: [0], positions: "generated", strength: 0.5 };
const calmTensors = { "calm.1.direction": vector(3, 4, 0, 0, 0, 0, 0, 0), "calm.1.reference": filled([8], 1) };
const auraTensors = { "aura.0.scale": vector(1, 1, 0.25, 0.5, 1, 1, 1, 1), "aura.0.auroc": filled([8]) };

test("a bundle is described in words", () => {
  const fit = { method: "ACE", pairs: 32 };
  const checks = [{ tokens: [1], top: [[2, 0.5]], atol: 0.002 }];
  const tensors = { ...calmTensors, ...auraTensors };
  const text = inspectBundle(bundleOf(gpt2, [edges, calm, aura], tensors, { description: "Calmer.", fit, checks }));
  for (const part of [
    "test (b.safetensors)",
    "Calmer.",
    "gpt2: 3 layers, width 8, 2 heads of 4, MLP 16, vocabulary 11",
    "e: edge_mask cuts 1 of 52 edges (heads)",
    "blocks.0.head.1 → blocks.2.mlp: cut",
    "replaced by zero",
    "calm: ace sets the coordinate along a direction at resid_post of layer 1, at all tokens",
    "strength 1, alpha 0.25, only if it is above its threshold",
    "layer 1: direction of norm 5, reference at 1.4 along it",
    "aura: neuron_scale scales neurons at mlp_out of layer 0, at the tokens after the prompt",
    "layer 0: 2 of 8 neurons scaled by 0.25 to 0.5",
    "method: ACE",
    "pairs: 32",
    "checks: 1, within 0.002",
    "tensors that no stage reads: aura.0.auroc",
  ]) {
    assert.ok(text.includes(part), `"${part}" is not in:\n${text}`);
  }
});

test("a fit of any form is told in few lines, none of which moves the cursor", () => {
  let deep: Record<string, unknown> = {};
  for (let i = 0; i < 100_000; i++) deep = { a: deep };
  const fit = {
    method: "neuron groups",
    n_positive: 300,
    groups: { TP: { neurons: 384, edited: 192, readout: 0.0101234567 } },
    held_out: null,
    losses: Array.from({ length: 1000 }, (_, i) => i),
    edges: [{ source: "embed", alone: { good: 1, bad: 2 } }],
    note: `\u001b[2J${"x".repeat(5000)}`,
    deep,
    ...Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, [{ [`m${i}`]: [[i]] }]])),
  };
  const text = inspectBundle(bundleOf(gpt2, [calm], calmTensors, { fit }));
  for (const part of [
    "fitted:\n  method: neuron groups\n  n positive: 300\n  groups:\n    TP: neurons 384, edited 192, readout 0.0101235\n",
    "  held out: none\n  losses: 0, 1, 2, 3, 4, 5, 6, 7, … (1000 in all)\n",
    "  edges:\n    1:\n      source: embed\n      alone: good 1, bad 2\n",
    "  note: \\u001b[2Jxxx",
    "  … and 484 more\n",
  ]) {
    assert.ok(text.includes(part), `"${part}" is not in:\n${text}`);
  }
  assert.not.ok(text.includes("\u001b"));
  const lines = text.split("\n");
  assert.ok(lines.length < 110 && lines.every((line) => line.length < 200));
});

test("inspecting refuses what composing would", async () => {
  await refusal(
    "bad_bundle",
    () => inspectBundle(bundleOf(gpt2, [calm])),
    'stage "calm"',
    "calm.1.direction is missing",
  );
});

test("golden bundles are described too", async () => {
  for (const model of ["gpt2-tiny", "llama3-tiny"]) {
    const text = inspectBundle(
      readBundle(await readBytes(`test/golden/${model}/everything.safetensors`), "everything"),
    );
    assert.match(text, /edge_mask cuts \d+ of \d+ edges/);
  }
});

test("bundles become one file, in order, with prefixes; what composes apart composes together", async () => {
  const first = bundleOf(gpt2, [calm], calmTensors, { fit: { method: "ACE" } });
  const second = { ...bundleOf(gpt2, [aura, calm], { ...auraTensors, ...calmTensors }), file: "second" };
  await refusal("bad_bundle", () => mergeBundles([{ bundle: first }, { bundle: second }], "out"), "calm", "as=PREFIX");
  const merged = mergeBundles([{ bundle: first }, { bundle: second, prefix: "p" }], "out");
  const read = readBundle(writeBundle(merged), "out");
  assert.equal(
    read.manifest.stages.map(({ id }) => id),
    ["calm", "p-aura", "p-calm"],
  );
  assert.equal(read.manifest.fit, { test: { method: "ACE" } });
  assert.ok(read.tensors.has("p-aura.0.auroc"));
  const apart = compose(gpt2, [{ bundle: first }, { bundle: second, prefix: "p" }]).stages;
  const together = compose(gpt2, [{ bundle: read }]).stages;
  assert.equal(
    together,
    apart.map((stage) => ({ ...stage, id: stage.id.replace("/", "-") })),
  );
});

test("bundles for different models, and stages that do not go together, are not merged", async () => {
  const first = bundleOf(gpt2, [edges]);
  const other = { ...bundleOf(llama, [aura], { "aura.0.scale": filled([8]) }), file: "llama" };
  await refusal(
    "bad_bundle",
    () => mergeBundles([{ bundle: first }, { bundle: other }], "out"),
    "llama: base.model_type",
  );
  const twice = () => mergeBundles([{ bundle: first }, { bundle: first, prefix: "p" }], "out");
  await refusal("bad_bundle", twice, "p-e", "edge_mask");
});

test("checks pass within their tolerance, and never on a NaN", async () => {
  const checks = [
    { tokens: [1, 2], prompt_length: 1, top: [[0, 1.5] as const, [2, 0.5] as const], atol: 0.01 },
    { tokens: [3], top: [[1, 1] as const], atol: 0.01 },
  ];
  const asked: unknown[] = [];
  const answer = (...rows: readonly number[][]) => {
    const queue = [...rows];
    return async (tokens: readonly number[], promptLength: number) => {
      asked.push([tokens, promptLength]);
      return Float32Array.from(queue.shift() ?? []);
    };
  };
  const passed = async (...rows: readonly number[][]) =>
    (await checkBundle(checks, answer(...rows))).map((result) => result.passed);
  assert.equal(await passed([1.505, 0, 0.5], [0, 1.02]), [true, false]);
  assert.equal(asked, [
    [[1, 2], 1],
    [[3], 1],
  ]);
  assert.equal(await passed([1.5, 0, Number.NaN], []), [false, false]);
});

test.run();
