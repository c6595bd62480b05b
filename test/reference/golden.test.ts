/** The reference itself, against every golden case. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { noStages } from "../../src/interventions/stage.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { readReferenceBundle, type Settings } from "./bundle.ts";
import { referenceForward } from "./forward.ts";
import { openReference } from "./open.ts";

interface GoldenCase extends Settings {
  readonly case: string;
  readonly tokens: readonly number[];
  readonly prompt_len?: number;
  readonly bundle?: string | null;
  readonly expected: string;
}

/** The goldens are float64 results stored as float32. */
const TOLERANCE = 1e-6;

function assertAgrees(actual: Float64Array, expected: Float32Array, what: string): void {
  assert.is(actual.length, expected.length, what);
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs((actual[i] as number) - value)), 0);
  assert.ok(worst <= TOLERANCE * scale, `${what}: off by ${worst}, values up to ${scale}`);
}

for (const name of ["gpt2-tiny", "llama-tiny", "llama3-tiny"]) {
  const folder = `test/golden/${name}`;

  test(`${name}: logits of every case, and the sites that are given`, async () => {
    const { config, weights } = await openReference(location(folder));
    for (const golden of await readJson<GoldenCase[]>(`${folder}/cases.json`)) {
      // Gradients and fits are other tests' subject.
      if (golden.bundle === undefined) continue;
      const { tensors } = parseSafetensors(await readBytes(`${folder}/${golden.expected}`));
      const composition =
        golden.bundle === null
          ? noStages
          : readReferenceBundle(await readBytes(`${folder}/${golden.bundle}`), config, golden);
      const sites = [...tensors.keys()].filter((site) => site !== "logits");
      const promptLength = golden.prompt_len ?? golden.tokens.length;
      const result = referenceForward(weights, config, composition, { tokens: golden.tokens, promptLength, sites });
      for (const [site, tensor] of tensors) {
        const actual = site === "logits" ? result.logits : (result.sites.get(site) as Float64Array);
        assertAgrees(actual, toFloat32(tensor), `${golden.case}: ${site}`);
      }
    }
  });
}

test.run();
