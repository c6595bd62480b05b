/** quantize as a person runs it, which needs no GPU, and --quantize as it reaches the library. */
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { main } from "../../src/cli/main.ts";
import { parseSafetensors } from "../../src/formats/safetensors.ts";
import { location } from "../support/files.ts";
import { FakeOutput, FakeSignals, input } from "./fake-process.ts";
import { fakeLibrary, run as runFake } from "./fake-world.ts";

const model = location("weights/stories260K");

async function run(...argv: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const stdout = new FakeOutput();
  const stderr = new FakeOutput();
  const code = await main(argv, { stdin: input([]), stdout, stderr, signals: new FakeSignals(), env: {} });
  return { code, out: stdout.text, err: stderr.text };
}

let folder: string;
test.before.each(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-"));
});
test.after.each(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("quantize writes a folder that names its format, with the tokenizer, and says how far the weights moved", async () => {
  const out = join(folder, "q4");
  const { code, out: said, err } = await run("quantize", model, "--to", "q4", "--out", out);
  assert.is(code, 0, err);
  assert.match(said, /^model\.embed_tokens\.weight +rms +\d+\.\d{3} % +max +\d+\.\d{3} %$/m);
  assert.match(said, /^all +rms +[5-9]\.\d{3} %/m);
  assert.match(said, /: q4, 0\.\d MB, 0\.\d{3} of float32\n$/);
  for (const file of ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]) {
    assert.equal(await readFile(join(out, file)), await readFile(join(model, file)));
  }
  const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
  assert.equal(config.sluice_quantization, { format: "q4", block: 32 });
  const { tensors } = parseSafetensors(await readFile(join(out, "model.safetensors")));
  assert.equal(tensors.get("model.layers.0.mlp.down_proj.weight")?.shape, [64, 6, 18]);
  assert.is(tensors.get("model.norm.weight")?.dtype, "F32");

  const again = await run("quantize", out, "--to", "q8", "--out", join(folder, "q8"));
  assert.is(again.code, 2);
  assert.match(again.err, /is already quantised, to q4/);
  const over = await run("quantize", model, "--to", "q8", "--out", out);
  assert.is(over.code, 2);
  const baked = await run(
    "bake",
    out,
    "--with",
    location("test/golden/llama-tiny/ablation-all.safetensors"),
    "--out",
    join(folder, "b"),
  );
  assert.is(baked.code, 2);
  assert.match(baked.err, /only float weights can be baked/);
  assert.equal(await readdir(folder), ["q4"]);
});

test("quantize --json is one object, and weights without a scale leave no folder", async () => {
  const { code, out: said } = await run("quantize", model, "--to", "q8", "--out", join(folder, "q8"), "--json");
  assert.is(code, 0);
  const report = JSON.parse(said);
  assert.is(report.format, "q8");
  assert.ok(report.rms > 0 && report.rms < 0.01 && report.max < 0.004);
  assert.ok(report.bytes < 0.3 * report.float32_bytes);
  assert.is(report.matrices.length, 1 + 7 * 5);

  const bytes = await readFile(join(model, "model.safetensors"));
  const damaged = join(folder, "model");
  await rm(join(folder, "q8"), { recursive: true });
  await mkdir(damaged);
  await copyFile(join(model, "config.json"), join(damaged, "config.json"));
  const begin = 8 + Number(bytes.readBigUInt64LE(0));
  bytes.fill(0xff, begin, begin + 4);
  await writeFile(join(damaged, "model.safetensors"), bytes);
  const failed = await run("quantize", damaged, "--to", "q4", "--out", join(folder, "x"));
  assert.is(failed.code, 1, failed.err);
  assert.match(failed.err, /Tensor \S+ holds 1 number that is not finite \(1 NaN\)/);
  assert.equal(await readdir(folder), ["model"]);
});

test("quantize --to mlx4 writes MLX's layout under mlx-lm's names, and says so in config.json", async () => {
  const out = join(folder, "mlx4");
  const { code, out: said, err } = await run("quantize", model, "--to", "mlx4", "--out", out, "--json");
  assert.is(code, 0, err);
  const report = JSON.parse(said);
  assert.is(report.format, "mlx4");
  assert.ok(report.rms > 0.02 && report.rms < 0.12 && report.max < 0.2, said);
  const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
  assert.equal(config.quantization, { group_size: 64, bits: 4, mode: "affine" });
  assert.equal(config.quantization_config, config.quantization);
  const { tensors, metadata } = parseSafetensors(await readFile(join(out, "model.safetensors")));
  assert.is(metadata.get("format"), "mlx");
  const shapeOf = (name: string) => [tensors.get(name)?.dtype, ...(tensors.get(name)?.shape ?? [])];
  assert.equal(shapeOf("model.layers.0.mlp.up_proj.weight"), ["U32", 172, 8]);
  assert.equal(shapeOf("model.layers.0.mlp.up_proj.scales"), ["F16", 172, 1]);
  assert.equal(shapeOf("model.layers.0.mlp.up_proj.biases"), ["F16", 172, 1]);
  // 172 inputs are no groups of MLX.
  assert.equal(shapeOf("model.layers.0.mlp.down_proj.weight"), ["F32", 64, 172]);
  const again = await run("quantize", out, "--to", "mlx8", "--out", join(folder, "x"));
  assert.is(again.code, 2);
  assert.match(again.err, /already quantised, in MLX's format/);
});

test("unknown formats are refused by the command line", async () => {
  for (const [formats, ...argv] of [
    ["q8, q4, mlx8 or mlx4", "quantize", model, "--to", "q5", "--out", join(folder, "x")],
    ["q8 or q4", "logits", model, "--tokens", "1", "--quantize", "int4", "--out", join(folder, "x")],
  ] as const) {
    const { code, err } = await run(...argv);
    assert.is(code, 2);
    assert.ok(err.includes(`takes ${formats}, not`), err);
  }
  assert.equal(await readdir(folder), []);
});

test("--quantize reaches the library from every command that runs a model", async () => {
  for (const line of ["generate m Hi", "chat m", "logits m --tokens 1 --out OUT", "explain m"]) {
    const library = fakeLibrary();
    await runFake([...line.replace("OUT", join(folder, "o")).split(" "), "--quantize", "q8"], { library });
    assert.is(library.calls.load[0]?.options.quantize, "q8", line);
  }
});

test.run();
