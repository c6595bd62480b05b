/** One attribution serves one run at a time: a second is refused, and neither it nor one that failed leaves traces. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { openAttribution } from "../../src/fit/attribution.ts";
import { listDestinations, listSources } from "../../src/interventions/edges.ts";
import { refusal } from "../formats/refusal.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

test("a second run while one is under way is refused, and takes nothing from the first", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const attribution = await openAttribution(model, [[2, 0, 1, 2, 1, 0, 0, 0, 1, 1, 2]]);
  const shape = [listDestinations(model.config, "heads").length, listSources(model.config).length] as const;
  const maskOf = (value: number) => ({
    mask: { data: new Float32Array(shape[0] * shape[1]).fill(value), shape },
  });
  const [first, other] = [maskOf(0.5), maskOf(0.25)];
  const alone = await attribution.run(first);
  // From a mask of ones again, so that no layer is left out as known.
  await attribution.run({});
  const running = attribution.run(first);
  for (const second of [() => attribution.run(other), () => attribution.losses([other]), () => attribution.means()]) {
    await refusal("busy", second, "running under another mask");
  }
  assert.equal(await running, alone);
  await refusal("aborted", () => attribution.run(other, { signal: AbortSignal.abort() }));
  assert.equal(await attribution.run(first), alone, "and so is the next one, also behind one that failed");
  attribution.dispose();
  model.dispose();
});

test.run();
