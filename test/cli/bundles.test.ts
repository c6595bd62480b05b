/** bake, bundle inspect, bundle compose and bundle import as a user runs them on a machine without a GPU: none needs one. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readConfig } from "../../src/architectures/read-config.ts";
import { library } from "../../src/cli/library.ts";
import { main } from "../../src/cli/main.ts";
import { SluiceError } from "../../src/errors.ts";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import { bundleOf, filled } from "../interventions/model-configs.ts";
import { location, readBytes } from "../support/files.ts";
import { FakeOutput, FakeSignals, input } from "./fake-process.ts";

const golden = location("test/golden/gpt2-tiny");

async function withoutGpu(): Promise<never> {
  throw new SluiceError("no_adapter", "There is no GPU here");
}

async function run(...argv: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const stdout = new FakeOutput();
  const stderr = new FakeOutput();
  const process = { stdin: input([]), stdout, stderr, signals: new FakeSignals(), env: {} };
  const code = await main(argv, { library: { ...library, load: withoutGpu }, ...process });
  return { code, out: stdout.text, err: stderr.text };
}

let folder: string;
test.before.each(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-"));
});
test.after.each(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("bake refuses by name what cannot be baked, and writes nothing", async () => {
  const { code, err } = await run(
    "bake",
    golden,
    "--with",
    `${golden}/everything.safetensors`,
    "--out",
    join(folder, "x"),
  );
  assert.is(code, 1);
  for (const part of ['stage "edges"', 'stage "ace" in layer 1', 'stage "cap" in layer 2', "--remainder FILE"]) {
    assert.ok(err.includes(part), err);
  }
  assert.equal(await readdir(folder), []);
});

test("bake writes a folder, and a bundle of the remainder", async () => {
  const out = join(folder, "baked");
  const rest = join(folder, "rest.safetensors");
  const bundle = `${golden}/everything.safetensors`;
  await mkdir(out);
  const {
    code,
    out: said,
    err,
  } = await run(
    ..."bake".split(" "),
    golden,
    ...["--with", `${bundle}:as=p`, "--strength", "p/edges=0.9", "--out", out, "--remainder", rest],
  );
  assert.is(code, 0, err);
  assert.match(said, /10 of 40 tensors changed/);
  assert.equal((await readdir(out)).sort(), ["config.json", "model.safetensors"]);
  const before = parseSafetensors(await readBytes("test/golden/gpt2-tiny/model.safetensors"));
  const after = parseSafetensors(await readFile(join(out, "model.safetensors")));
  assert.is(after.metadata.get("format"), "pt");
  assert.equal([...after.tensors.keys()].sort(), [...before.tensors.keys()].sort());
  const changed = [...after.tensors].filter(([name, tensor]) => {
    return Buffer.compare(tensor.bytes, before.tensors.get(name)?.bytes ?? new Uint8Array(0)) !== 0;
  });
  assert.is(changed.length, 10);
  const { manifest } = readBundle(await readFile(rest), rest);
  assert.equal(
    manifest.stages.map(({ id, strength }) => [id, strength]),
    [
      ["p-edges", 0.9],
      ["p-ace", 1],
      ["p-cap", 1],
    ],
  );
});

test("bake copies the tokenizer, gives a Llama its biases, and does not write where something is", async () => {
  const model = location("weights/stories260K");
  const config = readConfig(JSON.parse(await readFile(join(model, "config.json"), "utf8")), "config.json");
  const stage = { id: "a", kind: "affine", method: "addition", site: "resid_post", layers: [2] };
  const bundle = join(folder, "b.safetensors");
  await writeFile(bundle, writeBundle(bundleOf(config, [stage], { "a.2.direction": filled([config.hidden_size]) })));
  const args = ["bake", model, "--with", bundle, "--param", "a.alpha=2", "--out", join(folder, "baked")];
  const first = await run(...args);
  assert.is(first.code, 0, first.err);
  const files = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
  ];
  assert.equal((await readdir(join(folder, "baked"))).sort(), files);
  assert.is(JSON.parse(await readFile(join(folder, "baked", "config.json"), "utf8")).mlp_bias, true);
  const { tensors } = parseSafetensors(await readFile(join(folder, "baked", "model.safetensors")));
  const bias = [...tensors].find(([name]) => name.endsWith("layers.2.mlp.down_proj.bias"))?.[1];
  assert.ok(bias && toFloat32(bias).every((value) => value === 1));
  const second = await run(...args);
  assert.is(second.code, 2);
  assert.match(second.err, /not empty/);
});

test("bundle inspect, compose and import do what they say", async () => {
  const inspected = await run("bundle", "inspect", `${golden}/everything.safetensors`);
  assert.is(inspected.code, 0);
  assert.match(inspected.out, /edges: edge_mask cuts 25 of 262 edges/);
  const both = join(folder, "both.safetensors");
  const parts = [`${golden}/ace-resid_mid.safetensors`, `${golden}/addition-generated.safetensors`];
  const clash = await run("bundle", "compose", ...parts, "--out", both);
  assert.is(clash.code, 1);
  assert.match(clash.err, /stage "a"[\s\S]*FILE:as=PREFIX/);
  const composed = await run("bundle", "compose", parts[0] ?? "", `${parts[1]}:as=x`, "--out", both);
  assert.is(composed.code, 0, composed.err);
  assert.match(composed.out, /a, x-a/);
  assert.is((await run("bundle", "inspect", both)).code, 0);
  const gguf = location("test/data/control-vectors/create.gguf");
  const imported = await run("bundle", "import", gguf, golden, "--out", join(folder, "c.safetensors"));
  assert.is(imported.code, 1);
  assert.match(imported.err, /direction\.\d+ has 4096 values, but the model's stream is \d+ wide/);
  const half = await run("bundle");
  assert.is(half.code, 2);
  assert.match(half.err, /bundle inspect/);
});

test("bundle import takes files, folders and what they leave open", async () => {
  const out = join(folder, "made.safetensors");
  const stories = location("weights/gpt2-stories");
  const edges = location("test/data/foreign/edge-pruning-layout-gpt2-stories.json");
  const circuit = await run("bundle", "import", edges, stories, "--out", out);
  assert.is(circuit.code, 0, circuit.err);
  assert.match(circuit.out, /circuit, an edge mask/);
  assert.match(circuit.err, /replaced by zeros/);
  assert.match(circuit.err, /has no checks: There is no GPU here; sluice bundle seal .* adds them/);
  assert.is((await run("bundle", "inspect", out)).code, 0);
  const direction = location("test/data/foreign/torch/direction-view-f64.pt");
  const refused = await run("bundle", "import", direction, stories, "--as", "ace", "--out", out);
  assert.is(refused.code, 2);
  assert.match(refused.err, /leaves open which layer[\s\S]*--layer 15/);
  const ranged = await run("bundle", "import", direction, stories, "--as", "ace", "--layers", "1..2", "--out", out);
  assert.is(ranged.code, 0, ranged.err);
  assert.match(ranged.err, /has no checks/);
  assert.match(ranged.out, /steer, 2 layers/);
  const both = await run("bundle", "import", direction, stories, "--layer", "1", "--layers", "all", "--out", out);
  assert.is(both.code, 2);
  await writeFile(join(folder, "direction.pt"), await readFile(direction));
  await writeFile(join(folder, "direction_metadata.json"), '{"pos": -2, "layer": 3}');
  const added = await run("bundle", "import", join(folder, "direction.pt"), stories, "--as", "addition", "--out", out);
  assert.is(added.code, 0, added.err);
  assert.is(readBundle(await readFile(out), "made").tensors.has("refusal.3.direction"), true);
  const wholeFolder = await run("bundle", "import", folder, stories, "--out", out);
  assert.is(wholeFolder.code, 0, wholeFolder.err);
  assert.match(wholeFolder.out, /refusal_resid_pre, 4 layers/);
});

test("bundle export writes files, folders and pairs, and not over the bundle", async () => {
  const path = join(folder, "calm.hooks.safetensors");
  const config = readConfig(JSON.parse(await readFile(join(golden, "config.json"), "utf8")), "config.json");
  const stages = [
    { id: "calm", kind: "affine", method: "addition", site: "resid_post", layers: [1] },
    { id: "quiet", kind: "neuron_scale", site: "mlp_pre", layers: [0] },
  ];
  const tensors = {
    "calm.1.direction": filled([config.hidden_size]),
    "quiet.0.scale": filled([config.intermediate_size]),
  };
  await writeFile(path, writeBundle(bundleOf(config, stages, tensors)));
  const gguf = join(folder, "calm.gguf");
  const made = await run("bundle", "export", path, "--to", "gguf", "--out", gguf);
  assert.is(made.code, 0, made.err);
  assert.match(made.err, /stage "quiet" is of the kind neuron_scale.*\(possible: hf-hooks\); it is left out/);
  const again = await run("bundle", "import", gguf, golden, "--no-checks", "--out", join(folder, "again.safetensors"));
  assert.is(again.code, 0, again.err);
  const reft = await run("bundle", "export", path, "--to", "pyreft", "--out", join(folder, "reft"));
  assert.is(reft.code, 0, reft.err);
  assert.equal((await readdir(join(folder, "reft"))).sort(), [
    "config.json",
    "intkey_layer_1_comp_block_output_unit_pos_nunit_1#0.bin",
  ]);
  const over = await run("bundle", "export", path, "--to", "hf-hooks", "--out", join(folder, "calm.py"));
  assert.is(over.code, 2);
  assert.match(over.err, /would overwrite/);
  const pair = await run("bundle", "export", path, "--to", "hf-hooks", "--out", join(folder, "h.py"));
  assert.is(pair.err, "");
  const whole = await run("bundle", "export", path, "--to", "hf-hooks", "--out", join(folder, "hooks"));
  assert.is(whole.code, 0, whole.err);
  assert.equal((await readdir(join(folder, "hooks"))).sort(), ["test.hooks.safetensors", "test.py"]);
  const written = await readdir(folder);
  for (const name of ["h.py", "h.hooks.safetensors"]) assert.ok(written.includes(name), name);
  const refused = await run("bundle", "export", path, "--to", "csv", "--out", join(folder, "x.csv"));
  assert.is(refused.code, 1);
  assert.match(refused.err, /cannot be written as csv: stage "calm".*gguf, npz, pyreft, hf-hooks[\s\S]*stage "quiet"/);
});

test.run();
