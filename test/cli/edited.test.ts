/** Commands with bundles: the calls of the library, and the JSON output. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fakeLibrary, run } from "./fake-world.ts";

test("--json of an edited model names the settings in force, and changes during the run", async () => {
  const push = {
    id: "x/push",
    kind: "affine",
    method: "addition",
    site: "resid_post",
    layers: [],
    positions: "all",
    gate: "identity",
    alpha: -1,
    strength: 0.5,
    values: new Map(),
  } as const;
  const damp = {
    id: "damp",
    kind: "neuron_scale",
    site: "mlp_pre",
    layers: [],
    positions: "all",
    strength: 1,
    values: new Map(),
  } as const;
  const changes = [{ id: "damp", strength: 0, first_token: 2 }];
  const library = fakeLibrary({ stages: [push, damp], changes, says: ["abc", "de"] });
  const interventions = {
    bundles: [
      { file: "A", name: "A", prefix: "x" },
      { file: "B", name: "B" },
    ],
    stages: [
      { id: "x/push", kind: "affine", strength: 0.5, alpha: -1, positions: "all" },
      { id: "damp", kind: "neuron_scale", strength: 1, positions: "all" },
    ],
  };
  const options = ["--with", "A:as=x", "--with", "B", "--json"];
  const one = JSON.parse((await run(["generate", "m", "Hi", ...options], { library })).stdout);
  assert.equal([one.interventions, one.changes], [interventions, changes]);
  const compared = JSON.parse((await run(["compare", "m", "Hi", ...options], { library })).stdout);
  assert.equal(compared.interventions, interventions);
  const folder = await mkdtemp(join(tmpdir(), "sluice-test-"));
  try {
    const file = join(folder, "prompts.txt");
    await writeFile(file, "one\ntwo\n");
    const many = JSON.parse((await run(["generate", "m", "--batch", file, ...options], { library })).stdout);
    assert.equal(many.interventions, interventions);
    assert.equal(
      many.results.map((result: { changes: unknown }) => result.changes),
      [changes, changes],
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("digests of the model's files go with the bundles, but nothing is downloaded twice for them", async () => {
  const digests = { weights_sha256: "f".repeat(64) };
  const library = fakeLibrary({ digests });
  await run(["generate", "m", "Hi", "--with", "A", "--with", "B:as=x"], { library });
  await run(["generate", "https://example.org/m", "Hi", "--with", "A"], { library });
  await run(["generate", "m", "Hi"], { library });
  assert.equal(library.calls.digests, [{ bundles: 2, source: "m" }]);
  assert.equal(
    library.calls.with.map(({ settings }) => settings.digests),
    [digests, {}],
  );
});

test.run();
