/** Bundles as other projects' files: what comes back when they are imported again, and what is named because it cannot be. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Bundle, type ExportName, exportBundle, type ModelShape } from "../../src/index.ts";
import { compose } from "../../src/interventions/compose.ts";
import { refusal } from "../formats/refusal.ts";
import { imported, llamaLike, made, stories, values } from "./import-samples.ts";
import { bundleOf, vector } from "./model-configs.ts";

const config = llamaLike(8, 4);
const rows = [0.1, -2, 3e-5, 4, 1 / 3, 6, -7, 1e-20];
const shifted = (by: number) => vector(...rows.map((value) => value + by));

const affine = (id: string, more: object) => ({ id, kind: "affine", method: "addition", site: "resid_post", ...more });

interface Exported {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly warnings: string;
}

async function exported(bundle: Bundle, format: ExportName): Promise<Exported> {
  const warnings: string[] = [];
  const files = await exportBundle(bundle, format, { name: "b", onWarning: (text) => warnings.push(text) });
  return { files, warnings: warnings.join("\n") };
}

/** Through a format and back. */
async function back(bundle: Bundle, format: ExportName, shape: ModelShape = config): Promise<Bundle> {
  const { files } = await exported(bundle, format);
  const name = files.size > 1 ? "folder" : ([...files.keys()][0] as string);
  return (await made(files, shape, {}, name)).bundle;
}

const bits = (bundle: Bundle, name: string): string => String(bundle.tensors.get(name)?.bytes);

test("control vectors come back bit for bit; strength and alpha are in the vectors", async () => {
  const tensors = { "calm.1.direction": shifted(0), "calm.3.direction": shifted(1) };
  const bundle = bundleOf(config, [affine("calm", { layers: [3, 1] })], tensors);
  const again = await back(bundle, "gguf");
  assert.equal(again.manifest.stages, [
    { id: "control", kind: "affine", site: "resid_post", layers: [1, 3], method: "addition" },
  ]);
  assert.is(bits(again, "control.3.direction"), bits(bundle, "calm.3.direction"));
  assert.is(again.manifest.fit?.model_hint, "llama");
  const halved = bundleOf(config, [affine("calm", { layers: [1], strength: 0.5, alpha: -3 })], tensors);
  assert.match((await exported(halved, "gguf")).warnings, /stage "calm": its strength 0.5 and alpha -3 are multiplied/);
  assert.equal(
    values(await back(halved, "gguf"), "control.1.direction"),
    rows.map((value) => Math.fround(-1.5 * Math.fround(value))),
  );
  const first = bundleOf(config, [affine("calm", { layers: [0] })], { "calm.0.direction": shifted(0) });
  assert.match((await exported(first, "gguf")).warnings, /direction\.0.*llama\.cpp refuses/);
  // What enters block 1 is the output of block 0.
  const entering = bundleOf(config, [affine("calm", { site: "resid_pre", layers: [1] })], tensors);
  assert.equal([...(await back(entering, "gguf")).tensors.keys()], ["control.0.direction"]);
});

test("vectors in .npz are named by site and layer, and come back so", async () => {
  const stages = [affine("a", { layers: [1] }), affine("b", { site: "attn_out", layers: [0, 2] })];
  const tensors = { "a.1.direction": shifted(0), "b.0.direction": shifted(1), "b.2.direction": shifted(2) };
  const bundle = bundleOf(config, stages, tensors);
  const again = await back(bundle, "npz");
  assert.equal(
    again.manifest.stages.map((stage) => stage.kind === "affine" && [stage.id, stage.site, stage.layers]),
    [
      ["steer_resid_post", "resid_post", [1]],
      ["steer_attn_out", "attn_out", [0, 2]],
    ],
  );
  assert.is(bits(again, "steer_attn_out.2.direction"), bits(bundle, "b.2.direction"));
  const ablated = affine("c", { method: "directional_ablation", layers: [3], positions: "generated" });
  const alone = bundleOf(config, [ablated], { "c.3.direction": shifted(0) });
  assert.match((await exported(alone, "npz")).warnings, /--as ablation[\s\S]*at which positions/);
  const mixed = bundleOf(config, [...stages, ablated], { ...tensors, "c.3.direction": shifted(0) });
  assert.match((await exported(mixed, "npz")).warnings, /stage "c" is to be ablated.*left out/);
});

test("neurons that are set come back as CSV; others are named", async () => {
  const scale = vector(...Array.from({ length: 16 }, (_, i) => (i < 3 ? 0 : 1)));
  const shift = vector(0.1, -1e-9, -0, ...new Array<number>(13).fill(0));
  const stage = { id: "set", kind: "neuron_scale", site: "mlp_post", layers: [2] };
  const bundle = bundleOf(config, [stage], { "set.2.scale": scale, "set.2.shift": shift });
  const again = await back(bundle, "csv");
  assert.is(bits(again, "neurons.2.scale"), bits(bundle, "set.2.scale"));
  assert.is(bits(again, "neurons.2.shift"), bits(bundle, "set.2.shift"));
  const scaled = bundleOf(config, [stage], { "set.2.scale": vector(...new Array<number>(16).fill(0.5)) });
  await refusal("bad_bundle", () => exportBundle(scaled, "csv"), 'stage "set"', "neuron 0 of layer 2", "hf-hooks");
});

for (const format of ["eap-json", "edge-pruning"] as const) {
  test(`${format} comes back with the same edges`, async () => {
    const { bundle } = await imported(["eap-ig-layout-gpt2-stories.json"], stories);
    assert.is(bits(await back(bundle, format, stories), "circuit.mask"), bits(bundle, "circuit.mask"));
    const few = { id: "cut", kind: "edge_mask", destinations: "heads", attn_bias: "separate", edges: [] as unknown[] };
    few.edges = [
      ["embed", "blocks.1.head.2", 0],
      ["blocks.0.mlp", "logits", 0],
    ];
    const again = await back(bundleOf(stories, [few]), format, stories);
    const cut = values(again, "circuit.mask").flatMap((each, i) =>
      each === 0 ? [`${Math.floor(i / 29)},${i % 29}`] : [],
    );
    const seen = compose(stories, [{ bundle: again }]).stages[0];
    assert.ok(seen?.kind === "edge_mask");
    // q, k and v of head 2 in layer 1, and the logits.
    assert.equal(
      seen.edges.map(({ destination, source }) => `${destination},${source}`),
      ["21,0", "27,0", "33,0", "76,7"],
    );
    assert.ok(cut.length > seen.edges.length);
    const partly = bundleOf(stories, [{ ...few, strength: 0.5 }]);
    await refusal("bad_bundle", () => exportBundle(partly, format), "in part (0.5)");
    const { warnings } = await exported(bundleOf(stories, [{ ...few, attn_bias: "per_head" }]), format);
    assert.is(/attn_bias/.test(warnings), format === "eap-json");
  });
}

test("query heads that share keys and values keep these together", async () => {
  const edges = [["embed", "blocks.1.k.1", 0]];
  const stage = { id: "cut", kind: "edge_mask", destinations: "qkv_groups", edges };
  const bundle = bundleOf(config, [stage]);
  for (const format of ["eap-json", "edge-pruning"] as const) {
    const [again] = compose(config, [{ bundle: await back(bundle, format) }]).stages;
    const [whole] = compose(config, [{ bundle }]).stages;
    assert.equal(again?.kind === "edge_mask" && again.edges, whole?.kind === "edge_mask" && whole.edges);
  }
});

test("LoReFT of the samples comes back bit for bit", async () => {
  const folder = "pyreft-loreft-qwen2.5-1.5b";
  const names = ["config.json", "intkey_layer_8_comp_block_output_unit_pos_nunit_1#0.bin"];
  const shape = llamaLike(1536, 28);
  const { bundle } = await imported(
    names.map((each) => `${folder}/${each}`),
    shape,
    {},
    folder,
  );
  const { files, warnings } = await exported(bundle, "pyreft");
  assert.equal([...files.keys()], names);
  assert.is(warnings, "");
  const again = await back(bundle, "pyreft", shape);
  assert.equal(again.manifest.stages, bundle.manifest.stages);
  for (const name of bundle.tensors.keys()) assert.is(bits(again, name), bits(bundle, name), name);
});

test("what moves along orthonormal directions is LoReFT; an addition is a bias", async () => {
  const [x, y] = [vector(0, 3, 4, 0, 0, 0, 0, 0), vector(0, 0, 5, 0, 0, 0, 0, 0)];
  const stages = [
    affine("ace", { method: "ace", layers: [1], alpha: 2, strength: 0.5, positions: [0, -1] }),
    affine("add", { layers: [2], site: "mlp_out" }),
    affine("mid", { layers: [2], site: "resid_mid" }),
  ];
  const tensors = { "ace.1.direction": x, "ace.1.reference": y, "add.2.direction": x, "mid.2.direction": x };
  const { files, warnings } = await exported(bundleOf(config, stages, tensors), "pyreft");
  assert.match(
    warnings,
    /stage "mid" acts at resid_mid, which pyvene has no name for \(possible: npz, hf-hooks\); it is left out/,
  );
  assert.match(warnings, /stage "add": pyreft does not save/);
  const { bundle } = await made(files, config, {}, "folder");
  // s·(h·r̂ − r̂·y − α‖r‖) is taken away along r̂.
  const near = (name: string, expected: readonly number[]) =>
    values(bundle, name).forEach((each, i) => assert.ok(Math.abs(each - (expected[i] ?? 0)) < 1e-6, `${name} ${each}`));
  near("loreft_resid_post_1.1.u", [0, 0.6, 0.8]);
  near("loreft_resid_post_1.1.v", [0, 0.3, 0.4]);
  near("loreft_resid_post_1.1.c", [0.5 * (4 + 2 * 5)]);
  near("bias_mlp_out_2.2.direction", [0, 3, 4]);
});

test("hooks are a Python file with stages as data; nothing in it comes from the bundle's words", async () => {
  const bundle = bundleOf(config, [affine("calm", { layers: [1], strength: 0, positions: { tokens: [3] } })], {
    "calm.1.direction": shifted(0),
  });
  const named = { ...bundle, manifest: { ...bundle.manifest, name: '"""\nimport os # \\' } };
  const { files } = await exported(named, "hf-hooks");
  assert.equal([...files.keys()], ["b.py", "b.hooks.safetensors"]);
  const text = new TextDecoder().decode(files.get("b.py"));
  assert.not.match(text, /^import os/m);
  const stages = JSON.parse(/^STAGES = json\.loads\(r'''(.*)'''\)$/m.exec(text)?.[1] ?? "");
  assert.equal(stages, [
    {
      ...{ id: "calm", kind: "affine", site: "resid_post", layers: [1], positions: { tokens: [3] } },
      ...{ strength: 0, alpha: 1, gate: "identity" },
    },
  ]);
  await refusal("bad_bundle", () => exportBundle(bundle, "gguf"), "strength 0");
  const other = bundleOf(llamaLike(8, 4, "phi3"), [affine("a", { layers: [1] })], { "a.1.direction": shifted(0) });
  await refusal("bad_bundle", () => exportBundle(other, "hf-hooks"), "phi3", "gpt2, llama", "gguf");
});

test.run();
