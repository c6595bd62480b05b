/** Profiles and benchmarks: what they report adds up, and their files can be read. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { benchModel, load, profileModel, reportOf, traceOf } from "../../src/index.ts";
import { median, medianInterval } from "../../src/profile/statistics.ts";
import { location } from "../support/files.ts";
import { codeOf } from "../support/refusal-code.ts";
import { dampStage } from "../support/stages.ts";

test("a profile has every dispatch, and its rows add up to them", async () => {
  const model = await load(location("test/golden/gpt2-tiny"));
  try {
    const profile = await profileModel(model, [1, 2, 3, 4, 5, 6, 7], { newTokens: 2 });
    const layers = model.config.num_hidden_layers;
    // Seven a layer and five around them, for one prefill and two decode steps.
    assert.is(profile.dispatches.length, 3 * (7 * layers + 5));
    for (const rows of [profile.by_kernel, profile.by_label]) {
      assert.is(
        rows.reduce((sum, { calls }) => sum + calls, 0),
        profile.dispatches.length,
      );
      for (const phase of ["prefill", "decode"] as const) {
        const own = rows.filter((row) => row.phase === phase);
        if (own.some(({ ms }) => ms === null)) continue;
        const shares = own.reduce((sum, { share }) => sum + (share ?? 0), 0);
        assert.ok(Math.abs(shares - 1) < 1e-9, `${phase}: shares add up to ${shares}`);
      }
    }
    assert.ok(profile.dispatches.every(({ ms }) => ms === null || ms >= 0));
    for (const { profiled_ms, plain_ms } of Object.values(profile.wall)) assert.ok(profiled_ms > 0 && plain_ms > 0);

    const { traceEvents } = JSON.parse(traceOf(profile)) as {
      traceEvents: { ph: string; ts?: number; dur?: number }[];
    };
    const spans = traceEvents.filter(({ ph }) => ph === "X");
    assert.ok(spans.every(({ ts = -1, dur = -1 }) => ts >= 0 && dur >= 0));
    const timed = profile.dispatches.filter(({ ms }) => ms !== null).length;
    assert.ok(spans.length >= timed);
    const page = reportOf(profile);
    assert.match(page, /^<!doctype html>/);
    assert.not.match(page, /<script|https?:\/\//);
  } finally {
    model.dispose();
  }
});

test("a benchmark reports what its contract names, for a model and for the same beside it", async () => {
  const model = await load(location("test/golden/gpt2-tiny"));
  try {
    const edited = model.withStages({ stages: [dampStage(192)], warnings: [] });
    const result = await benchModel(model, edited, { promptTokens: 9, newTokens: 4, repetitions: 5 });
    for (const [name, value] of Object.entries({
      prefill: result.prefill_tokens_per_s,
      decode: result.decode_tokens_per_s,
      bandwidth: result.decode_share_of_bandwidth,
      fma: result.prefill_share_of_fma,
      gemm: result.prefill_share_of_gemm,
      read: result.ceilings.read_gb_per_s,
      cold: result.time_to_first_token_ms.cold,
      warm: result.time_to_first_token_ms.warm,
      bytes: result.gpu_bytes,
      ratio: result.decode_ratio_to_plain,
    })) {
      assert.ok(Number.isFinite(value) && (value as number) > 0, `${name} is ${value}`);
    }
    const [low = Number.NaN, high = Number.NaN] = result.prefill_ratio_interval ?? [];
    assert.ok(low <= (result.prefill_ratio_to_plain ?? 0) && (result.prefill_ratio_to_plain ?? 0) <= high);
    assert.is(await codeOf(() => benchModel(model, undefined, { repetitions: 4 })), "usage");
  } finally {
    model.dispose();
  }
});

test("the interval of a median holds it, and is the same each time", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 30 }),
      (values) => {
        const [low, high] = medianInterval(values, 200);
        assert.ok(low <= median(values) && median(values) <= high);
        assert.equal(medianInterval(values, 200), [low, high]);
      },
    ),
    { numRuns: 30 },
  );
});

test.run();
