/** What stages cost is measured where they are fused, each with all others in place. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Stage } from "../../src/interventions/stage.ts";
import { stageCosts } from "../../src/profile/stage-costs.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { dampStage } from "../support/stages.ts";

test("a row a stage and phase, from the dispatches that carry it", async () => {
  const model = await load(location("test/golden/gpt2-tiny"));
  try {
    const { hidden_size, intermediate_size, num_hidden_layers: layers } = model.config;
    const damp = dampStage(intermediate_size);
    const direction = new Float32Array(hidden_size).fill(1);
    const ace: Stage = {
      id: "calm",
      kind: "affine",
      method: "ace",
      site: "resid_post",
      layers: [0],
      positions: "all",
      gate: "identity",
      alpha: 0.5,
      strength: 1,
      values: new Map([[0, { direction, reference: direction }]]),
    };
    const edited = model.withStages({ stages: [damp, ace], warnings: [] });
    const seen: number[] = [];
    const costs = await stageCosts(edited, [1, 2, 3, 4, 5], 2, {
      onProgress: (done, total) => seen.push(done / total),
    });
    assert.equal(
      costs.map(({ stage, phase, dispatches }) => [stage, phase, dispatches]),
      [
        // All layers of a kind share the kernel with the epilogue; of the norms one alone is edited.
        ["damp", "prefill", layers],
        ["damp", "decode", layers],
        ["calm", "prefill", 1],
        ["calm", "decode", 1],
      ],
    );
    for (const { ms, interval, share, clock } of costs) {
      assert.ok(interval[0] <= ms && ms <= interval[1]);
      assert.ok(Number.isFinite(share));
      assert.is(clock, model.device.features.timestampQuery ? "gpu timestamps" : "host");
    }
    assert.is(seen.at(-1), 1);
    assert.equal(await stageCosts(model, [1, 2], 1, {}), []);
  } finally {
    model.dispose();
  }
});

test.run();
