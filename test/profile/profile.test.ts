/** Profiles and benchmarks: what they report adds up, and their files can be read. */

import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  benchModel,
  type HostSpan,
  type Model,
  type Profile,
  profileModel,
  reportOf,
  traceOf,
} from "../../src/index.ts";
import { median, medianInterval } from "../../src/profile/statistics.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { dampStage } from "../support/stages.ts";

/** Milliseconds that sums and differences of times may be off. */
const ROUNDING = 1e-6;

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

test("a profile has every dispatch and host span, and its rows, trace, measures and report show them", async () => {
  const model = await load(location("weights/stories260K"));
  try {
    performance.clearMeasures();
    const profile = await profileModel(model, "Once upon a time", { newTokens: 2, measures: true });
    const layers = model.config.num_hidden_layers;
    // Seven a layer and five around them, for one prefill and two decode steps.
    assert.is(profile.dispatches.length, 3 * (7 * layers + 5));
    for (const rows of [profile.by_kernel, profile.by_label, profile.by_layer, profile.by_site]) {
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
    assert.is(profile.by_layer.length, 2 * (layers + 1));
    assert.ok(profile.dispatches.every(({ ms }) => ms === null || ms >= 0));
    assert.is(profile.unusable_stamps, profile.dispatches.filter(({ ms }) => ms === null).length);
    assert.is(profile.clock === "gpu timestamps", model.device.features.timestampQuery);
    for (const { profiled_ms, recorded_ms, plain_ms } of Object.values(profile.wall)) {
      assert.ok(profiled_ms > 0 && recorded_ms > 0 && plain_ms > 0);
    }
    assert.is(profile.model, "stories260K");
    assert.equal([profile.quantization, profile.stages], [null, []]);
    checkHost(profile, model);
    checkTrace(profile);
    checkMeasures(profile);
    const page = reportOf(profile);
    assert.match(page, /^<!doctype html>/);
    assert.not.match(page, /<script|https?:\/\/|undefined|NaN|\[object/);
    const compiled = profile.host.spans.filter(({ work }) => work === "compile");
    for (const { name } of [...profile.host.rows, ...compiled, ...profile.by_kernel, ...profile.by_label]) {
      assert.ok(page.includes(`${name}</td>`), `The report has no row ${name}`);
    }
  } finally {
    performance.clearMeasures();
    model.dispose();
  }
});

/** Every span once, none negative, none beside another of the same thread, and in their phase's time. */
function checkHost({ host, wall, dispatches }: Profile, model: Model): void {
  const { pipelines, layout } = model.internals;
  const count = (work: HostSpan["work"]) => host.spans.filter((span) => span.work === work).length;
  assert.is(count("upload"), 1);
  assert.is(host.spans.find(({ work }) => work === "upload")?.detail.bytes, layout.byteLength);
  assert.is(host.rows.find(({ name }) => name === "upload")?.bytes, layout.byteLength);
  assert.is(count("tokenize"), 1);
  assert.is(count("compile"), pipelines.created);
  const compiled = host.spans.filter(({ work }) => work === "compile").map(({ name }) => name);
  assert.is(new Set(compiled).size, compiled.length);
  // Kernels of several shapes can share a pipeline, which has the name of the first.
  const used = new Set(dispatches.map(({ kernel }) => kernel));
  assert.equal(
    compiled.filter((name) => !used.has(name)),
    [],
  );
  // A text a step; of the others at least as many, and one more for each time a step is cut.
  assert.is(count("text"), 3);
  assert.is(count("stamps"), 3);
  assert.ok(count("encode") >= 3 && count("submit") === count("encode") && count("wait") === count("encode"));
  let until = 0;
  for (const phase of ["prefill", "decode"] as const) {
    const own = host.spans.filter((span) => span.phase === phase);
    for (const { work, begin_ms, ms } of own) {
      assert.ok(ms >= 0 && begin_ms >= until - ROUNDING, `${work} of ${phase} at ${begin_ms} begins before ${until}`);
      until = begin_ms + ms;
    }
    const sum = own.reduce((total, { ms }) => total + ms, 0);
    assert.ok(sum <= wall[phase].profiled_ms + ROUNDING, `${phase}: ${sum} of ${wall[phase].profiled_ms} ms`);
    const rows = host.rows.filter((row) => row.phase === phase);
    const total = rows.reduce((all, { ms }) => all + ms, 0);
    assert.ok(Math.abs(total - wall[phase].recorded_ms) < ROUNDING, `${phase}: rows of ${total} ms`);
  }
}

/**
 * All spans are there, later than 0, which DevTools takes for no time, and those of a track follow one another to the
 * nanosecond, since Perfetto drops what overlaps.
 */
function checkTrace(profile: Profile): void {
  const { traceEvents } = JSON.parse(traceOf(profile)) as {
    traceEvents: { name: string; ph: string; tid: number; ts?: number; dur?: number; args: { name?: string } }[];
  };
  const spans = traceEvents.flatMap(({ ph, ts = -1, dur = -1, ...rest }) => (ph === "X" ? [{ ...rest, ts, dur }] : []));
  assert.ok(spans.every(({ ts, dur }) => ts > 0 && dur >= 0));
  const tracks = traceEvents.filter(({ name }) => name === "thread_name");
  const onTracks = (pattern: RegExp) =>
    tracks
      .filter(({ args }) => pattern.test(args.name ?? ""))
      .map(({ tid }) => spans.filter((span) => span.tid === tid));
  const timed = profile.dispatches.filter(({ ms }) => ms !== null).length;
  assert.is(onTracks(/^GPU: kernels/).flat().length, timed);
  assert.is(onTracks(/^Host/).flat().length, profile.host.spans.length);
  const nanoseconds = (us: number): number => Math.round(us * 1000);
  for (const track of onTracks(/./)) {
    for (const [i, { name, ts, dur }] of track.entries()) {
      const next = track[i + 1];
      assert.ok(!next || nanoseconds(ts) + nanoseconds(dur) <= nanoseconds(next.ts), `${name} runs into ${next?.name}`);
    }
  }
  // Nothing runs on the GPU before it was submitted.
  const [host = []] = onTracks(/^Host$/);
  const submits = host.filter(({ name }) => name === "submit");
  const [phases = []] = onTracks(/^GPU: phases/);
  for (const [i, { name, ts }] of phases.entries()) {
    if (profile.clock !== "gpu timestamps" || submits.length > phases.length) break;
    const submit = submits[i]?.ts ?? Infinity;
    assert.ok(ts >= submit - ROUNDING * 1000, `${name} begins at ${ts} µs, submitted at ${submit}`);
  }
}

/** The page's Performance panel gets each span once, when it was. */
function checkMeasures({ dispatches, host, time_origin_ms }: Profile): void {
  const measures = performance.getEntriesByType("measure");
  const timed = dispatches.filter(({ ms }) => ms !== null);
  assert.is(measures.length, timed.length + host.spans.length);
  const found = new Map(measures.map(({ name, startTime }) => [name, startTime]));
  for (const { work, name, begin_ms } of host.spans) {
    if (work !== "compile" && work !== "upload") continue;
    const start = found.get(work === "compile" ? `compile ${name}` : name) ?? Number.NaN;
    assert.ok(Math.abs(start - (time_origin_ms + begin_ms)) < 1, `${name} starts at ${start}`);
  }
}

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
