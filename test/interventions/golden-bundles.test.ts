import { test } from "uvu";
import * as assert from "uvu/assert";
import { readConfig } from "../../src/architectures/read-config.ts";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import { compose } from "../../src/interventions/compose.ts";
import { readBytes, readJson } from "../support/files.ts";

interface GoldenCase {
  readonly case: string;
  readonly bundle: string | null;
  readonly strengths?: Readonly<Record<string, number>>;
  readonly params?: Readonly<Record<string, { readonly alpha: number }>>;
}

for (const model of ["gpt2-tiny", "llama-tiny", "llama3-tiny"]) {
  test(`${model}: bundles of an independent writer are read, composed and written again`, async () => {
    const folder = `test/golden/${model}`;
    const config = readConfig(await readJson(`${folder}/config.json`), "config.json");
    let count = 0;
    for (const golden of await readJson<GoldenCase[]>(`${folder}/cases.json`)) {
      if (!golden.bundle) continue;
      count++;
      const bundle = readBundle(await readBytes(`${folder}/${golden.bundle}`), golden.bundle);
      const strengths = new Map(Object.entries(golden.strengths ?? {}));
      const params = new Map(Object.entries(golden.params ?? {}));
      const { stages, warnings } = compose(config, [{ bundle }], { strengths, params });
      assert.equal(warnings, []);
      assert.equal(
        stages.map(({ id, kind }) => [id, kind]),
        bundle.manifest.stages.map(({ id, kind }) => [id, kind]),
      );
      for (const stage of stages) {
        const written = bundle.manifest.stages.find(({ id }) => id === stage.id)?.strength ?? 1;
        assert.is(stage.strength, strengths.get(stage.id) ?? written);
        if (stage.kind === "edge_mask") assert.ok(stage.edges.length > 0);
      }
      assert.equal(readBundle(writeBundle(bundle), golden.bundle), bundle, golden.case);
    }
    assert.ok(count >= 20, `only ${count} bundles`);
  });
}

test.run();
