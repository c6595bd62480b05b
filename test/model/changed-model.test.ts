/** Models with other weights, from files to files: what is read back runs as the edited or quantised model does. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bakeModel, type ChangedModel, load, type Model, quantizeModel, readModelConfig } from "../../src/index.ts";
import { bundleOf, vector } from "../interventions/model-configs.ts";
import { assertClose } from "../support/closeness.ts";
import { testDevice } from "../support/device.ts";
import { location } from "../support/files.ts";
import { codeOf } from "../support/refusal-code.ts";

const FOLDER = location("weights/stories260K");
const TOKENS = [1, 403, 407, 261, 378];

/** The files as a page that lets a person pick them would get them. */
async function pick({ files }: ChangedModel): Promise<File[]> {
  const picked: File[] = [];
  for (const { name, byteLength, read } of files) {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for await (const piece of read()) pieces.push(piece.slice());
    const file = new File(pieces, name);
    assert.is(file.size, byteLength, name);
    picked.push(file);
  }
  return picked;
}

async function logitsOf(source: string | File[], use: (model: Model) => Model = (model) => model, quantize?: "q8") {
  const model = await load(source, { device: await testDevice(), plan: "reference", ...(quantize && { quantize }) });
  try {
    return (await use(model).logits(TOKENS)).data;
  } finally {
    model.dispose();
  }
}

test("a baked model computes what the edited one does, and the rest is a bundle", async () => {
  const config = await readModelConfig(FOLDER);
  const direction = vector(...Array.from({ length: config.hidden_size }, (_, i) => Math.sin(i)));
  const bundle = bundleOf(
    config,
    [
      { id: "push", kind: "affine", method: "addition", site: "resid_post", layers: [1] },
      { id: "erase", kind: "affine", method: "directional_ablation", site: "resid_post", layers: [2] },
    ],
    { "push.1.direction": direction, "erase.2.direction": direction },
  );
  const settings = { strengths: { push: 0.5 } };
  const baked = await bakeModel(FOLDER, [bundle], { settings });
  assert.equal(
    baked.kept.map(({ id }) => id),
    ["erase"],
  );
  const { remainder } = baked;
  if (!remainder) throw new Error("ablation of the stream cannot be baked");
  const files = await pick(baked);
  await baked.close();
  const expected = await logitsOf(FOLDER, (model) => model.with([bundle], settings));
  assertClose(await logitsOf(files, (model) => model.with([remainder])), expected, "baked");
});

test("a quantised model computes what quantising at load gives, bit for bit", async () => {
  const quantized = await quantizeModel(FOLDER, "q8");
  assert.is(quantized.moved().matrices.length, 0);
  const files = await pick(quantized);
  await quantized.close();
  const { rms, max, matrices } = quantized.moved();
  assert.ok(rms > 0 && rms < 0.01 && max < 0.02 && matrices.length > 10, `${rms} ${max} ${matrices.length}`);
  assert.ok(quantized.bytes < 0.4 * quantized.float32_bytes);
  assert.equal(await logitsOf(files), await logitsOf(FOLDER, undefined, "q8"));
  assert.is(await codeOf(() => quantizeModel(files, "q4")), "usage");
  assert.is(await codeOf(() => bakeModel(files, [])), "usage");
});

test("MLX's layout is read as it was written, cannot be quantised again, and is baked into floats", async () => {
  const quantized = await quantizeModel(FOLDER, "mlx8");
  const files = await pick(quantized);
  await quantized.close();
  const { rms, max, matrices } = quantized.moved();
  assert.ok(rms > 0 && rms < 0.01 && max < 0.01 && matrices.length > 10, `${rms} ${max} ${matrices.length}`);
  const config = await readModelConfig(files);
  assert.is(config.quantization, "mlx");
  assert.is(await codeOf(() => quantizeModel(files, "q4")), "usage");
  const direction = vector(...Array.from({ length: config.hidden_size }, (_, i) => Math.cos(i)));
  const stages = [{ id: "push", kind: "affine", method: "addition", site: "resid_post", layers: [1] }];
  const bundle = bundleOf(config, stages, { "push.1.direction": direction });
  const baked = await bakeModel(files, [bundle]);
  const bakedFiles = await pick(baked);
  await baked.close();
  assert.equal(baked.kept, []);
  assert.is((await readModelConfig(bakedFiles)).quantization, undefined);
  const edited = await logitsOf(files, (model) => model.with([bundle]));
  assertClose(await logitsOf(bakedFiles), edited, "baked");
  assertClose(await logitsOf(FOLDER, (model) => model.with([bundle])), edited, "close to the float model", 0.2);
});

test.run();
