/**
 * A few random schedules of what goes wrong (`npm run faults` runs a thousand): errors say what to do, nothing is held
 * afterwards, and the next load gives the ids of before.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { runFaults } from "../../scripts/faults/run.ts";

/** A schedule takes half a second of the processor's time. */
const SCHEDULES = 4;

test("schedules of faults", async () => {
  const indices = Array.from({ length: SCHEDULES }, (_, i) => i);
  const { kinds, schedules } = await runFaults({ seed: 3, indices, isQuick: true });
  assert.is(schedules, SCHEDULES);
  assert.equal(
    kinds.flatMap(({ broken }) => broken),
    [],
  );
  assert.ok(kinds.some(({ outcomes }) => outcomes.size > 0));
});

test.run();
