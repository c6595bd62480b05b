/** Loss and mask gradients of the engine against the golden ones, whole. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { attributeEdges } from "../../src/fit/attribution.ts";
import { parseSafetensors, type StoredTensor, toFloat32 } from "../../src/formats/safetensors.ts";
import type { Destinations } from "../../src/interventions/stage.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";

interface GradientCase {
  readonly case: string;
  readonly tokens: readonly number[];
  readonly destinations: Destinations;
  readonly expected: string;
}

for (const name of ["gpt2-tiny", "llama-tiny", "llama3-tiny"]) {
  const folder = `test/golden/${name}`;

  test(`${name}: loss and its gradient with respect to every edge`, async () => {
    const model = await load(location(folder));
    const cases = await readJson<GradientCase[]>(`${folder}/cases.json`);
    for (const golden of cases.filter((entry) => entry.case.startsWith("mask-gradient"))) {
      const { tensors } = parseSafetensors(await readBytes(`${folder}/${golden.expected}`));
      const tensor = (key: string) => {
        const stored = tensors.get(key) as StoredTensor;
        return { data: toFloat32(stored), shape: stored.shape };
      };
      const expected = tensor("gradient");
      const { loss, gradient } = await attributeEdges(model, golden.tokens, {
        destinations: golden.destinations,
        mask: tensor("mask"),
        constants: tensor("constants"),
      });
      assert.equal([...gradient.shape], [...expected.shape]);
      assert.ok(Math.abs(loss - (tensor("loss").data[0] as number)) < 2e-4, `${golden.case}: loss ${loss}`);
      const scale = expected.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const off = expected.data.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - (gradient.data[i] as number))),
        0,
      );
      assert.ok(off <= 1e-3 * scale, `${golden.case}: off by ${off}, of ${scale}`);
    }
    model.dispose();
  });
}

test.run();
