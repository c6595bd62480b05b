/** Results in the repository are never replaced by fewer. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ELSEWHERE, placeOf } from "../../bench/keep-results.ts";

const file = "bench/results/a.json";

function placed(kept: readonly string[], fresh: readonly string[], out?: string): { place: string; said: string } {
  let said = "";
  const place = placeOf({ file, kept, fresh, out, say: (line) => (said += line) });
  return { place, said };
}

test("a run with every row replaces the results; one with fewer is stored elsewhere and names what it lacks", () => {
  assert.equal(placed([], ["x"]), { place: file, said: "" });
  assert.equal(placed(["x", "y"], ["y", "z", "x"]), { place: file, said: "" });
  const { place, said } = placed(["x", "y", "5 rounds"], ["x"]);
  assert.is(place, join(ELSEWHERE, "a.json"));
  assert.match(said, /a\.json is kept, since this run did not measure y; 5 rounds\. Results: .*--out FOLDER/);
  assert.match(placed(Array.from("abcdefgh"), []).said, /a; b; c; d; e; and 3 more/);
});

test("results go into the folder that is named, whole or not", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-test-"));
  try {
    const out = join(folder, "new");
    assert.equal(placed(["x"], ["x"], out), { place: join(out, "a.json"), said: "" });
    assert.equal(placed(["x"], [], out), { place: join(out, "a.json"), said: "" });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.run();
