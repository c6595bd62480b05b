/** Other projects' files as bundles: what they become, for whom, and what is refused. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, storeFloat32, toFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { arrayIn } from "../../src/formats/torch/globals.ts";
import { readTorchFile } from "../../src/formats/torch/torch-file.ts";
import { compose } from "../../src/interventions/compose.ts";
import { affine } from "../../src/interventions/kinds/affine.ts";
import { dot } from "../../src/numbers/dot.ts";
import { refusal } from "../formats/refusal.ts";
import { pickle, shortText, tensor, torchZip, zip } from "../formats/torch-files.ts";
import { readBytes, readJson } from "../support/files.ts";
import { FOLDER, imported, json, llamaLike, made, stories, values } from "./import-samples.ts";

/** As wide as the vectors of EasySteer. */
const wide = llamaLike(4096, 32);

const floats = (...list: readonly number[]): Uint8Array<ArrayBuffer> => new Uint8Array(Float32Array.from(list).buffer);

function near(list: readonly number[], expected: readonly number[]): void {
  assert.is(list.length, expected.length);
  list.forEach((each, i) => assert.ok(Math.abs(each - (expected[i] ?? Number.NaN)) < 1e-5, `${each} at ${i}`));
}

test("a bare vector needs a layer; .pt and .npy give the same", async () => {
  await refusal("usage", () => imported(["easysteer-sharp-f16.pt"], wide), "layer", "--layer 15");
  const [torch, numpy] = await Promise.all([
    imported(["easysteer-sharp-f16.pt"], wide, { layers: [3, 4], scale: 2 }),
    imported(["easysteer-sharp-f16.npy"], wide, { layers: [3, 4], scale: 2 }),
  ]);
  const [stage] = torch.bundle.manifest.stages;
  assert.equal(stage, {
    id: "steer",
    kind: "affine",
    site: "resid_post",
    layers: [3, 4],
    method: "addition",
    strength: 2,
  });
  assert.equal(values(torch.bundle, "steer.4.direction"), values(numpy.bundle, "steer.4.direction"));
  const { bundle, warnings } = await imported(["easysteer-bipo-vec_ep20_layer15.pt"], wide);
  assert.match(warnings, /layer 15 is taken from the file's name/);
  assert.ok(values(bundle, "steer.15.direction").every(Number.isFinite));
  await refusal(
    "bad_bundle",
    () => imported(["easysteer-sharp-f16.pt"], stories, { layers: [1] }),
    "[4096]",
    "96 wide",
  );
  await refusal("bad_bundle", () => imported(["easysteer-sharp-f16.pt"], wide, { layers: [32] }), "32", "0 to 31");
});

test("what becomes of a direction can be chosen", async () => {
  const file = new Map([["v.pt", torchZip(pickle(tensor({ count: 8, shape: [8] })), floats(0, 0, 0, 4, 0, 0, 3, 0))]]);
  const config = llamaLike(8, 2);
  const ablated = await made(file, config, { as: "ablation", layers: [1], site: "resid_mid" });
  const [stage] = ablated.bundle.manifest.stages;
  assert.ok(stage?.kind === "affine" && stage.method === "directional_ablation" && stage.site === "resid_mid");
  const ace = await made(file, config, { as: "ace", layers: [1], scale: 10 });
  near(values(ace.bundle, "steer.1.reference"), [0, 0, 0, 8, 0, 0, 6, 0]);
  const [set] = ace.bundle.manifest.stages;
  assert.ok(set?.kind === "affine" && set.method === "ace" && set.alpha === 0);
  const clamped = await made(file, config, { as: "clamp", layers: [1], scale: 1.5 });
  const [bounded] = clamped.bundle.manifest.stages;
  assert.ok(bounded?.kind === "affine" && bounded.method === "low_rank");
  assert.is((bounded.gate as { readonly clamp: readonly number[] }).clamp[1], 1.5);
  await refusal("usage", () => made(file, config, { as: "clamp", layers: [1] }), "--scale");
  await refusal("usage", () => made(file, config, { as: "ablation", scale: 2, layers: [1] }), "scale");
  await refusal("usage", () => made(file, config, { feature: 2, layers: [1] }), "feature", "bare vectors");
});

test("lists and dicts of vectors are one per layer, and numbering shifts them", async () => {
  const config = llamaLike(8, 4);
  const list = await imported(["torch/layer-list.pt"], config);
  assert.equal(
    list.bundle.manifest.stages[0]?.kind === "affine" && list.bundle.manifest.stages[0].layers,
    [0, 1, 2, 3],
  );
  const dict = await imported(["torch/layer-dict-int-keys.pt"], config);
  const expected = await readJson<Record<string, Record<string, { values: number[] }>>>(
    `${FOLDER}/torch/expected.json`,
  );
  assert.equal(values(dict.bundle, "steer.3.direction"), expected["layer-dict-int-keys.pt"]?.["3"]?.values);
  const some = await imported(["torch/layer-list.pt"], config, { layers: [1, 2] });
  assert.is(some.bundle.tensors.size, 2);
  await refusal("bad_bundle", () => imported(["torch/layer-list.pt"], llamaLike(8, 3)), "layer", "0 to 2");
  await refusal("bad_bundle", () => imported(["torch/layer-list.pt"], config, { numbering: 1 }), "-1");
  const svec = await imported(["ibm-layout.svec"], stories);
  const [stage] = svec.bundle.manifest.stages;
  assert.ok(stage?.kind === "affine" && stage.site === "resid_pre" && stage.layers?.length === 4);
  assert.is(svec.warnings, "");
  assert.match(
    (await made(json("v.svec", { model_type: "llama", directions: { 1: new Array(96).fill(1) } }), stories)).warnings,
    /llama/,
  );
  const field = await imported(["torch/scalar-and-none.pt"], llamaLike(8, 16));
  assert.equal([...field.bundle.tensors.keys()], ["steer.15.direction"]);
  await refusal("bad_bundle", () => imported(["torch/mean_diffs-f64.pt"], config), "[3, 4, 8]", "direction.pt");
});

test("CAA adds from the end of the instruction on", async () => {
  const bytes = await readBytes(`${FOLDER}/easysteer-sharp-f16.pt`);
  const { bundle } = await made(
    new Map([
      ["vec_layer_9_Llama.pt", bytes],
      ["vec_layer_10_Llama.pt", bytes],
    ]),
    wide,
    {},
    "caa",
  );
  const [stage] = bundle.manifest.stages;
  assert.ok(stage?.kind === "affine" && stage.positions === "last_prompt_onward");
  assert.equal(stage.layers, [9, 10]);
});

test("refusal_direction is taken away everywhere, or added where it was measured", async () => {
  const bytes = await readBytes(`${FOLDER}/torch/direction-view-f64.pt`);
  const metadata = new TextEncoder().encode('{"pos": -2, "layer": 2}');
  const files = new Map([
    ["direction.pt", bytes],
    ["direction_metadata.json", metadata],
  ]);
  const everywhere = await made(files, stories, {}, "refusal");
  assert.equal(
    everywhere.bundle.manifest.stages.map(
      (stage) => stage.kind === "affine" && [stage.method, stage.site, stage.layers],
    ),
    ["resid_pre", "attn_out", "mlp_out"].map((site) => ["directional_ablation", site, "all"]),
  );
  assert.ok(Math.abs(Math.hypot(...values(everywhere.bundle, "refusal_mlp_out.3.direction")) - 1) < 1e-6);
  const added = await made(files, stories, { as: "addition", scale: -1 }, "refusal");
  const [stage] = added.bundle.manifest.stages;
  assert.ok(stage?.kind === "affine" && stage.site === "resid_pre" && stage.strength === -1);
  const direction = arrayIn(readTorchFile(bytes, "d"))?.values() ?? [];
  assert.equal(values(added.bundle, "refusal.2.direction"), [...Float32Array.from(direction)]);
  await refusal("usage", () => made(new Map([["direction.pt", bytes]]), stories, { as: "addition" }), "--layer");
});

test("vLLM-Hook sets the coordinate to the average; its configuration names the layer", async () => {
  const names = ["ibm-vllm-hook-phi3_format.pt", "ibm-vllm-hook-phi3_format.config.json"];
  const { bundle } = await imported(names, llamaLike(3072, 32), {}, "phi3");
  const [stage] = bundle.manifest.stages;
  assert.ok(stage?.kind === "affine" && stage.method === "ace" && stage.alpha === 0);
  assert.equal(stage.layers, [8]);
  const direction = values(bundle, "hook.8.direction");
  const reference = values(bundle, "hook.8.reference");
  const hook = readTorchFile(await readBytes(`${FOLDER}/${names[0]}`), "hook");
  const average = arrayIn(hook instanceof Map ? hook.get("avg_proj") : null)?.values()[0] ?? Number.NaN;
  const along = direction.reduce((sum, each, i) => sum + each * (reference[i] ?? 0), 0) / Math.hypot(...direction);
  assert.ok(Math.abs(along - average) < 1e-4 * Math.abs(average), `${along} is ${average}`);
  await refusal("usage", () => imported([names[0] as string], llamaLike(3072, 32)), "--layer");
});

test("ml-aura's factors multiply their modules' outputs", async () => {
  const names = [0, 1].map((layer) => `aura-layout-transformer.h.${layer}.mlp.c_proj.statedict`);
  const { bundle } = await imported(names, stories, {}, "aura");
  assert.equal(bundle.manifest.stages, [{ id: "aura_mlp_out", kind: "neuron_scale", site: "mlp_out", layers: [0, 1] }]);
  await refusal("bad_bundle", () => imported(names, llamaLike(8, 2), {}, "aura"), "96 factors", "8 wide");
});

test("LoReFT becomes low_rank, equal to what its formula gives", async () => {
  const folder = "pyreft-loreft-qwen2.5-1.5b";
  const names = ["config.json", "intkey_layer_8_comp_block_output_unit_pos_nunit_1#0.bin"].map(
    (each) => `${folder}/${each}`,
  );
  const { bundle, warnings } = await imported(names, llamaLike(1536, 28), {}, folder);
  const expected = parseSafetensors(await readBytes(`${FOLDER}/expected-loreft-as-low_rank.safetensors`)).tensors;
  for (const name of ["v", "u", "c"]) {
    const wanted = expected.get(`loreft.8.${name}`);
    assert.ok(wanted);
    const got = values(bundle, `loreft_resid_post_8.8.${name}`);
    const error = Math.max(...toFloat32(wanted).map((each, i) => Math.abs(each - (got[i] ?? Number.NaN))));
    assert.ok(error < 1e-7, `${name}: ${error}`);
  }
  assert.match(warnings, /f1\+l1/);
  const [stage] = bundle.manifest.stages;
  assert.ok(stage?.kind === "affine");
  assert.equal(stage.positions, [0, -1]);
});

test("DiReFT, with its rotation in PyTorch's parts or whole, and biases do what PyTorch computes", async () => {
  const shape = llamaLike(8, 2);
  const expected = await readJson<Record<string, number[][]>>(`${FOLDER}/pyreft-expected.json`);
  for (const [name, component, site] of [
    ["direft", "block_output", "resid_post"],
    ["direft-whole", "mlp_output", "mlp_out"],
    ["bias", "block_input", "resid_pre"],
  ] as const) {
    const folder = `pyreft-${name}`;
    const files = ["config.json", `intkey_layer_1_comp_${component}_unit_pos_nunit_1#0.bin`];
    const { bundle } = await imported(
      files.map((each) => `${folder}/${each}`),
      shape,
      {},
      folder,
    );
    const [stage] = compose(shape, [{ bundle }]).stages;
    assert.ok(stage?.kind === "affine" && stage.site === site && affine.lowering.form === "row");
    assert.equal([stage.layers, stage.positions], [[1], [0, -1]]);
    const { v, u, c, b } = affine.lowering.lower(stage, stage.values.get(1) ?? {}, 8);
    expected.h?.forEach((h, row) => {
      const taken = v.map((each, i) => dot(h, each) - (c[i] ?? 0));
      h.forEach((value, j) => {
        const result = value + (b?.[j] ?? 0) - taken.reduce((sum, each, i) => sum + each * (u[i]?.[j] ?? 0), 0);
        const wanted = expected[name]?.[row]?.[j] ?? Number.NaN;
        assert.ok(Math.abs(result - wanted) < 1e-6, `${name} [${row}, ${j}]: ${result}, not ${wanted}`);
      });
    });
  }
});

test("Neuronpedia's methods", async () => {
  const config = llamaLike(8, 2);
  const steer = (method: string): ReadonlyMap<string, Uint8Array> =>
    json("n.json", {
      steering_vector: [0, 0, 0, 0, 0, 0, 3, 4],
      strength: 3,
      hook: "blocks.1.hook_resid_post",
      method,
    });
  const added = (await made(steer("SIMPLE_ADDITIVE"), config)).bundle;
  assert.ok(added.manifest.stages[0]?.kind === "affine" && added.manifest.stages[0].strength === 3);
  const scaled = (await made(steer("ORTHOGONAL_DECOMP"), config)).bundle;
  near(values(scaled, "steer.1.u"), [0, 0, 0, 0, 0, 0, -1.2, -1.6]);
  const capped = (await made(steer("PROJECTION_CAP"), config)).bundle.manifest.stages[0];
  assert.ok(capped?.kind === "affine" && typeof capped.gate === "object" && capped.gate.clamp[1] === 3);
  await refusal("bad_bundle", () => made(steer("SOMETHING"), config), "method", "SIMPLE_ADDITIVE");
});

test("neurons' values as CSV", async () => {
  const config = llamaLike(8, 2);
  const csv = (text: string): ReadonlyMap<string, Uint8Array> => new Map([["n.csv", new TextEncoder().encode(text)]]);
  const head = "layer_idx,neuron_idx,assigned_value\n";
  const { bundle } = await made(csv(`${head}1,2,0.5\n1,15,-1\n`), config);
  assert.equal(bundle.manifest.stages, [{ id: "neurons", kind: "neuron_scale", site: "mlp_post", layers: [1] }]);
  assert.equal(
    values(bundle, "neurons.1.scale").flatMap((each, i) => (each === 1 ? [] : [i])),
    [2, 15],
  );
  assert.is(values(bundle, "neurons.1.shift")[2], 0.5);
  await refusal("bad_bundle", () => made(csv(`${head}1,16,0.5\n`), config), "line 2: neuron_idx", "0 to 15");
  await refusal("bad_bundle", () => made(csv(`${head}1,x,0.5\n`), config), "line 2");
});

test("a feature of SAELens, added or clamped", async () => {
  const config = llamaLike(8, 2);
  const matrix = (rows: number, columns: number, at: (row: number, column: number) => number) =>
    storeFloat32(
      Float32Array.from({ length: rows * columns }, (_, i) => at(Math.floor(i / columns), i % columns)),
      [rows, columns],
    );
  const weights = writeSafetensors({
    W_enc: matrix(8, 3, (row, column) => row + 10 * column),
    W_dec: matrix(3, 8, (row, column) => 100 * row + column),
    b_enc: storeFloat32(Float32Array.of(0, 0, 7), [3]),
    b_dec: storeFloat32(Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0), [8]),
  });
  const cfg = { hook_name: "blocks.1.hook_resid_pre", architecture: "standard", apply_b_dec_to_input: true };
  const files = new Map([["sae_weights.safetensors", weights], ...json("cfg.json", cfg)]);
  await refusal("usage", () => made(files, config, {}, "sae"), "--feature", "0 to 2");
  const added = await made(files, config, { feature: 2 }, "sae");
  assert.equal(values(added.bundle, "feature_2.1.direction"), [200, 201, 202, 203, 204, 205, 206, 207]);
  const { bundle } = await made(files, config, { feature: 2, as: "clamp", scale: 2 }, "sae");
  assert.equal(values(bundle, "feature_2.1.v"), [20, 21, 22, 23, 24, 25, 26, 27]);
  assert.equal(values(bundle, "feature_2.1.c"), [20 - 7]);
  assert.equal(values(bundle, "feature_2.1.bias"), [400, 402, 404, 406, 408, 410, 412, 414]);
});

test("steering-vectors' pickled object", async () => {
  const body = [
    "csteering_vectors.steering_vector\nSteeringVector\n",
    ")",
    0x81,
    "}",
    "(",
    shortText("layer_activations"),
    "}",
    "K",
    1,
    ...tensor({ count: 8, shape: [8] }),
    "s",
    shortText("layer_type"),
    shortText("mlp"),
    "u",
    "b",
  ];
  const { bundle } = await made(
    new Map([["sv.pt", torchZip(pickle(body), floats(0, 1, 2, 3, 4, 5, 6, 7))]]),
    llamaLike(8, 2),
  );
  const [stage] = bundle.manifest.stages;
  assert.ok(stage?.kind === "affine" && stage.site === "mlp_out");
  assert.equal(values(bundle, "steer.1.direction"), [0, 1, 2, 3, 4, 5, 6, 7]);
});

test("arrays in .npz, packed or not, and bombs", async () => {
  const config = llamaLike(4096, 2);
  const npy = await readBytes(`${FOLDER}/easysteer-sharp-f16.npy`);
  const { bundle } = await made(new Map([["v.npz", zip([["layer_1.npy", npy]])]]), config);
  assert.is(values(bundle, "steer.1.direction").length, 4096);
  const packed = new Uint8Array(
    await new Response(new Blob([npy]).stream().pipeThrough(new CompressionStream("deflate-raw"))).arrayBuffer(),
  );
  const archive = (claimed: number): ReadonlyMap<string, Uint8Array> => {
    const whole = zip([["layer_1.npy", packed]]);
    const view = new DataView(whole.buffer);
    const at = new TextDecoder("latin1").decode(whole).indexOf("PK\u0001\u0002");
    view.setUint16(at + 10, 8, true);
    view.setUint32(at + 24, claimed, true);
    return new Map([["v.npz", whole]]);
  };
  assert.equal((await made(archive(npy.length), config)).bundle.tensors, bundle.tensors);
  await refusal("bad_file", () => made(archive(npy.length - 1), config), "more");
  await refusal("bad_file", () => made(archive(npy.length + 1), config), "less");
  await refusal("bad_file", () => made(archive(2 ** 31), config), "unpacks to far more than it has");
});

test("what is no import is named", async () => {
  await refusal("bad_file", () => imported(["easysteer-lfs-pointer.gguf"], stories), "Git LFS");
  const bundle = writeSafetensors({}, { format: "sluice.interventions/1", manifest: "{}" });
  await refusal("bad_bundle", () => made(new Map([["b.safetensors", bundle]]), stories), "bundle already");
  await refusal("bad_file", () => made(json("x.json", { a: 1 }), stories), "kind");
  await refusal("bad_file", () => made(new Map(), stories, {}, "empty"), "no files");
});

test.run();
