/** LEACE on models: the class means are equal afterwards, at every layer, in what the edited model itself computes. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { classMeans } from "../../src/fit/directions.ts";
import { readClasses } from "../../src/fit/sentences.ts";
import { toFloat32 } from "../../src/formats/safetensors.ts";
import { type Bundle, type DirectionOptions, fitDirection, type Model } from "../../src/index.ts";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import type { AffineSite } from "../../src/interventions/stage.ts";
import { location, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";

type Classes = Pick<DirectionOptions, "positive" | "negative">;

/** ‖r⁺ − r⁻‖ at a site in each of some layers, one after another: captures of one site share their kernels. */
async function distances(
  model: Model,
  site: AffineSite,
  classes: Classes,
  layers: readonly number[],
): Promise<number[]> {
  const found: number[] = [];
  const read = readClasses(model, classes, "last");
  for (const layer of layers) {
    for (const { positive, negative } of await classMeans(model, site, [layer], read, undefined)) {
      found.push(Math.hypot(...positive.map((value, i) => value - (negative[i] as number))));
    }
  }
  return found;
}

/** Asserts that with the bundle on, the classes' means are the same at every layer that it edits. */
async function assertErased(model: Model, site: AffineSite, classes: Classes): Promise<void> {
  const layers = [0, 1];
  const bundle = await fitDirection(model, "leace", { ...classes, site, layers });
  // Through the file, as a user would.
  const edited = model.with([readBundle(writeBundle(bundle), "leace.safetensors")]);
  const after = await distances(edited, site, classes, layers);
  for (const [i, layer] of layers.entries()) {
    const left = after[i] as number;
    const distance = Math.hypot(...tensor(bundle, `leace_${site}.${layer}.u`));
    assert.ok(left < 2e-6 * distance, `${site}.${layer}: ${distance} became ${left}`);
  }
}

test("the classes' means are equal in every layer; strength scales; alone is alone; the impossible is refused", async () => {
  const folder = "test/golden/gpt2-tiny";
  const cases = await readJson<(Classes & { readonly case: string })[]>(`${folder}/cases.json`);
  const { positive = [], negative = [] } = cases.find((entry) => entry.case === "fits") ?? {};
  const classes: Classes = { positive, negative };
  const model = await load(location(folder), { plan: "reference" });
  const erase = (options: Partial<DirectionOptions>) => fitDirection(model, "leace", { ...classes, ...options });
  try {
    await assertErased(model, "resid_post", classes);

    const bundle = await erase({ layers: [1], shrinkage: 1 });
    const [plain] = await distances(model, "resid_post", classes, [1]);
    const [v, u] = ["v", "u"].map((name) => tensor(bundle, `leace_resid_post.1.${name}`)) as [
      Float32Array,
      Float32Array,
    ];
    assert.ok(Math.abs(Math.hypot(...u) - (plain as number)) < 1e-6);
    assert.ok(Math.abs(v.reduce((sum, value, i) => sum + value * (u[i] as number), 0) - 1) < 1e-6);
    const alone = await erase({ layers: [0, 1], shrinkage: 1, alone: true });
    assert.equal(tensor(alone, "leace_resid_post.1.v"), v, "alone, a layer is fitted as if no other were edited");
    const { erased } = bundle.manifest.fit as { erased: readonly { layer: number; shrinkage: number }[] };
    assert.equal([erased[0]?.layer, erased[0]?.shrinkage], [1, 1]);
    const strengths = new Map([["leace_resid_post", 0.5]]);
    const [half] = await distances(model.with([bundle], { strengths }), "resid_post", classes, [1]);
    assert.ok(Math.abs((half as number) / (plain as number) - 0.5) < 1e-5, `${plain} became ${half}`);

    assert.is(await codeOf(() => erase({ negative: [] })), "usage");
    assert.is(await codeOf(() => erase({ layers: [3] })), "usage");
    assert.is(await codeOf(() => erase({ shrinkage: 1.5 })), "usage");
    assert.is(await codeOf(() => erase({ negative: classes.positive, layers: [1] })), "usage");
    const few = await erase({ positive: classes.positive.slice(0, 3), layers: [1], shrinkage: 0 }).catch(String);
    assert.match(String(few), /resid_post\.1, 48 wide, does not have full rank with 34 sentences/);
  } finally {
    model.dispose();
  }
});

function tensor({ tensors }: Bundle, key: string): Float32Array {
  const found = tensors.get(key);
  assert.ok(found, key);
  return toFloat32(found);
}

test.run();
