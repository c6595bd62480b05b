/** The circuit that scripts/study-sort.ts found (docs/study-sort.md): without all its edges every input is still sorted. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadBundle } from "../../src/index.ts";
import { location, readBytes } from "../support/files.ts";
import { load } from "../support/load.ts";

const LETTERS = 6;

test("gpt-nano-sort sorts 729 of 729 inputs without the edges outside the circuit", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const bundle = await loadBundle(await readBytes("test/data/gpt-nano-sort-circuit.safetensors"));
  const [stage] = bundle.manifest.stages;
  assert.ok(stage?.kind === "edge_mask" && stage.edges?.length === 37);
  assert.ok(stage.edges?.every(([, , value]) => value === 0));
  const session = await model.with([bundle]).session({ sequences: 243, context: 2 * LETTERS - 1, live: false });
  const inputs = Array.from({ length: 3 ** LETTERS }, (_, i) =>
    Array.from({ length: LETTERS }, (_, place) => Math.floor(i / 3 ** place) % 3),
  );
  for (let first = 0; first < inputs.length; first += session.sequences) {
    const some = inputs.slice(first, first + session.sequences);
    const results = await session.generateBatch(some, { maxNewTokens: LETTERS });
    const wrong = some.filter((letters, i) => results[i]?.tokens.join() !== [...letters].sort().join());
    assert.equal(wrong, []);
  }
  session.dispose();
  model.dispose();
});

test.run();
