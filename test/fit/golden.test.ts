/** Fits on the golden models: AUROC, AurA factors and class means against float64. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { fitAura, fitDirection } from "../../src/index.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { myTurns } from "../support/turns.ts";

interface FitCase {
  readonly case: string;
  readonly positive: readonly (readonly number[])[];
  readonly negative: readonly (readonly number[])[];
  readonly expected: string;
}

for (const name of myTurns(["gpt2-tiny", "llama-tiny", "llama3-tiny"])) {
  const folder = `test/golden/${name}`;

  test(`${name}: AurA and ACE meet the golden fits`, async () => {
    const golden = (await readJson<FitCase[]>(`${folder}/cases.json`)).find((entry) => entry.case === "fits");
    assert.ok(golden);
    const { tensors } = parseSafetensors(await readBytes(`${folder}/${golden.expected}`));
    const model = await load(location(folder), { plan: "reference" });
    try {
      const { positive, negative } = golden;
      const aura = await fitAura(model, { positive, negative });
      const ace = await fitDirection(model, "ace", { positive, negative });
      let compared = 0;
      for (const [key, tensor] of tensors) {
        const [kind, ...rest] = key.split(".");
        const expected = toFloat32(tensor);
        const fitted = (id: string, bundle: typeof ace) => {
          const found = bundle.tensors.get(id);
          assert.ok(found, `${id}, for ${key}`);
          return toFloat32(found);
        };
        const place = rest.join(".");
        if (kind === "auroc") assertNear(fitted(`aura_${place}.auroc`, aura.bundle), expected, 2.5e-3, key);
        else if (kind === "alpha") assertNear(fitted(`aura_${place}.scale`, aura.bundle), expected, 5e-3, key);
        else if (kind === "mean_pos" || kind === "mean_neg") {
          assertClose(fitted(`ace_${place}.${kind}`, ace), expected, key);
        } else continue;
        compared++;
      }
      assert.is(compared, tensors.size, `compared ${compared} of ${[...tensors.keys()].join(", ")}`);
    } finally {
      model.dispose();
    }
  });
}

function assertNear(actual: Float32Array, expected: Float32Array, tolerance: number, what: string): void {
  assert.is(actual.length, expected.length, what);
  const worst = actual.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] as number))), 0);
  assert.ok(worst <= tolerance, `${what}: off by ${worst}`);
}

test.run();
