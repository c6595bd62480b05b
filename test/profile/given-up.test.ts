/** What is given up half-way leaves nothing on the GPU. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { chooseClock } from "../../src/profile/clocks.ts";
import { ProfiledLane } from "../../src/profile/lane.ts";
import { stageCosts } from "../../src/profile/stage-costs.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { dampStage } from "../support/stages.ts";

test("an aborted profile gives its session and its clock back", async () => {
  const model = await load(location("test/golden/gpt2-tiny"));
  try {
    const edited = model.withStages({ stages: [dampStage(192)], warnings: [] });
    const { gpu } = model.internals;
    const before = gpu.bytesInUse;
    const controller = new AbortController();
    const { signal } = controller;
    // The abort meets a lane that is open and has not run.
    const open = edited.openSequences.bind(edited);
    edited.openSequences = async (options) => {
      const sequences = await open(options);
      controller.abort();
      return sequences;
    };
    assert.is(await codeOf(() => stageCosts(edited, [1, 2, 3], 1, { signal })), "aborted");
    assert.is(gpu.bytesInUse, before);

    const sequences = await model.openSequences({ context: 8 });
    try {
      const opened = gpu.bytesInUse;
      const lane = new ProfiledLane(sequences, [1, 2, 3], 1, { signal });
      // Only a clock of the GPU runs the lane in order to be chosen.
      if (gpu.profile.features.timestampQuery) {
        assert.is(await codeOf(() => chooseClock(gpu, lane)), "aborted");
        assert.is(gpu.bytesInUse, opened);
      } else (await chooseClock(gpu, lane)).dispose();
    } finally {
      sequences.dispose();
    }
    assert.is(gpu.bytesInUse, before);
  } finally {
    model.dispose();
  }
});

test.run();
