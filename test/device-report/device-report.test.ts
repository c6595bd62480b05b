/** A device report: its reference is right, its checks pass on this device, and a check can fail. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openModel } from "../../src/architectures/open-model.ts";
import { checkSetting } from "../../src/device-report/check-kernels.ts";
import { runInFloat64 } from "../../src/device-report/float64.ts";
import { type SmallModel, smallLlama } from "../../src/device-report/small-models.ts";
import { openFiles } from "../../src/formats/file-list.ts";
import { widen } from "../../src/formats/half.ts";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { noStages } from "../../src/interventions/stage.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference } from "../reference/open.ts";
import { readBytes } from "../support/files.ts";
import { sharedDevice } from "../support/load.ts";

test("the report's reference equals the tests' own, site by site", async () => {
  for (const name of ["gpt2-tiny", "llama-tiny"]) {
    const files = await Promise.all(
      ["config.json", "model.safetensors"].map(
        async (file) => new File([await readBytes(`test/golden/${name}/${file}`)], file),
      ),
    );
    const source = await openFiles(files);
    const { graph, checkpoint, config } = await openModel(source, () => undefined, undefined);
    const tensors = new Map<string, ArrayLike<number>>();
    for (const { name: tensor, dtype, byteLength } of checkpoint.tensors.values()) {
      tensors.set(tensor, widen(dtype, await checkpoint.read(tensor, 0, byteLength)));
    }
    const tokens = [1, 5, 9, 2, 77, 30, 5];
    const actual = runInFloat64(graph, tensors, tokens);
    const sites = [...actual.sites.keys()];
    const { weights } = await openReference(files);
    const expected = referenceForward(weights, config, noStages, { tokens, sites });
    for (const [site, rows] of [...actual.sites, ["logits", actual.logits] as const]) {
      const wanted = site === "logits" ? expected.logits : (expected.sites.get(site) as Float64Array);
      let at = 0;
      for (const row of rows)
        for (const value of row) assert.ok(Math.abs(value - (wanted[at++] as number)) < 1e-6, site);
      assert.is(at, wanted.length, site);
    }
  }
});

const setting = { family: "register", plan: "default", weights: "f32" } as const;

test("every part of a check passes on this device, and names its kernels", async () => {
  const checks = await checkSetting(await sharedDevice(), smallLlama(), setting, "quick");
  assert.equal(
    checks.map(({ part }) => part),
    ["sites", "decode", "sample", "loss", "stages", "pool", "gradient"],
  );
  for (const check of checks) {
    assert.ok(check.passed, JSON.stringify(check));
    assert.ok(check.kernels.length > 0, check.part);
  }
});

test("weights that are not those on the device fail", async () => {
  const model = smallLlama();
  const { tensors } = parseSafetensors(await bytesOf(model));
  const others = new Map([...tensors].map(([name, tensor]) => [name, toFloat32(tensor)]));
  const [first] = others.get("model.layers.1.mlp.down_proj.weight") as Float32Array;
  (others.get("model.layers.1.mlp.down_proj.weight") as Float32Array)[0] = (first as number) + 0.05;
  const checks = await checkSetting(await sharedDevice(), { ...model, tensors: others }, setting, "quick");
  const sites = checks.find(({ part }) => part === "sites");
  assert.not(sites?.passed);
  assert.match(sites?.at as string, /mlp_out\.1|resid_post\.1|final_norm|logits/);
});

async function bytesOf({ files }: SmallModel): Promise<Uint8Array> {
  return new Uint8Array(await (files[1] as File).arrayBuffer());
}

test.run();
