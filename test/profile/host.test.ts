/** Host spans follow one another, miss nothing and count nothing twice; so do uploads and compilations. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model } from "../../src/index.ts";
import { chooseClock, HostClock } from "../../src/profile/clocks.ts";
import { hostRows, hostTimeOfToken, loadSpans } from "../../src/profile/host.ts";
import { HostRecorder } from "../../src/profile/host-recorder.ts";
import { type LaneRun, ProfiledLane } from "../../src/profile/lane.ts";
import type { HostSpan } from "../../src/profile/profile-result.ts";
import { usableStamps } from "../../src/profile/timestamps.ts";
import type { Sequences } from "../../src/runtime/sequences.ts";
import { bareDevice } from "../support/bare-device.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

const TOKENS = [1, 403, 407, 261, 378];
const NEW_TOKENS = 3;

/** Opens a model and a lane of it, compiled and warm. */
async function withLane(
  use: (lane: ProfiledLane, model: Model, sequences: Sequences) => Promise<void>,
  options: Parameters<typeof load>[1] = {},
): Promise<void> {
  const model = await load(location("weights/stories260K"), options);
  try {
    const sequences = await model.openSequences({ context: TOKENS.length + NEW_TOKENS });
    const lane = new ProfiledLane(sequences, TOKENS, NEW_TOKENS, { tokenizer: model.tokenizer });
    await lane.run();
    await use(lane, model, sequences);
    sequences.dispose();
  } finally {
    model.dispose();
  }
}

function checkSpans({ spans, began, wall }: LaneRun): void {
  let until = began;
  for (const span of spans) {
    assert.ok(span.began >= until, `${span.work} of ${span.phase} ${span.step} begins before the last ended`);
    assert.ok(span.ended >= span.began, `${span.work} of ${span.phase} ${span.step} runs backwards`);
    until = span.ended;
  }
  const whole = began + wall.prefill + wall.decode;
  // Sums of differences may be off by a last digit.
  assert.ok(until <= whole + 1e-6, `The last span ends at ${until}, after the run's end at ${whole}`);
  for (const phase of ["prefill", "decode"] as const) {
    const own = spans.filter((span) => span.phase === phase);
    const sum = own.reduce((total, each) => total + each.ended - each.began, 0);
    assert.ok(sum > 0 && sum <= wall[phase] + 1e-6, `${phase}: spans of ${sum} ms in ${wall[phase]} ms`);
  }
}

test("spans of a run neither overlap nor leave its time, and each step has one of each", () =>
  withLane(async (lane) => {
    const host = lane.recorder();
    const run = await lane.run({ host });
    checkSpans(run);
    const order = ["encode", "submit", "wait", "text"];
    assert.equal(
      run.spans.map(({ phase, step, work }) => `${phase} ${step} ${work}`),
      ["prefill 0", "decode 0", "decode 1", "decode 2"].flatMap((step) => order.map((work) => `${step} ${work}`)),
    );
    // A recorder that was read is empty, and serves the next run.
    assert.equal(host.take(), []);
    checkSpans(await lane.run({ host }));
    assert.equal((await lane.run()).spans, []);
  }));

test("waiting ends with its run where no text follows", () =>
  withLane(async (_, __, sequences) => {
    const lane = new ProfiledLane(sequences, TOKENS, NEW_TOKENS, {});
    const run = await lane.run({ host: lane.recorder() });
    checkSpans(run);
    assert.is(run.spans.at(-1)?.work, "wait");
    assert.not(run.spans.some(({ work }) => work === "text"));
  }));

test("rows of a phase add up to its time, and tell what a token takes", () =>
  withLane(async (lane) => {
    const run = await lane.run({ host: lane.recorder() });
    const rows = hostRows([], run, { prefill: TOKENS.length, decode: NEW_TOKENS });
    assert.equal(
      rows.map(({ phase, name }) => `${phase} ${name}`),
      ["prefill", "decode"].flatMap((phase) =>
        ["encode", "submit", "wait", "text", "other"].map((name) => `${phase} ${name}`),
      ),
    );
    for (const phase of ["prefill", "decode"] as const) {
      const own = rows.filter((row) => row.phase === phase);
      const sum = own.reduce((total, { ms }) => total + ms, 0);
      assert.ok(Math.abs(sum - run.wall[phase]) < 1e-6, `${phase}: ${sum} of ${run.wall[phase]} ms`);
      for (const { ms, share, per_token_ms } of own) {
        assert.ok(ms >= 0);
        assert.is(share, ms / run.wall[phase]);
        assert.is(per_token_ms, ms / (phase === "prefill" ? TOKENS.length : NEW_TOKENS));
      }
    }
    assert.match(hostTimeOfToken(rows), /^encode [\d.]+ ms, submit [\d.]+ ms, wait [\d.]+ ms, text [\d.]+ ms, other/);
  }));

test("the upload's bytes are the weights' bytes, also quantised, and its parts its time", async () => {
  for (const quantize of [undefined, "q4"] as const) {
    const model = await load(location("weights/stories260K"), { ...(quantize && { quantize }) });
    try {
      const {
        weights: { upload },
        layout,
      } = model.internals;
      assert.is(upload.bytes, layout.byteLength);
      // Nothing but the weights is on the device yet.
      assert.is(upload.bytes, model.gpuBytes);
      const { ms, packMs, writeMs, waitMs } = upload;
      assert.ok(packMs >= 0 && writeMs >= 0 && waitMs >= 0);
      assert.ok(Math.abs(packMs + writeMs + waitMs - ms) < 1e-6, `${packMs} + ${writeMs} + ${waitMs} of ${ms} ms`);
    } finally {
      model.dispose();
    }
  }
});

test("every pipeline that a run uses was compiled once, and is a span once", () =>
  withLane(async (lane, model) => {
    const {
      pipelines,
      weights: { upload },
    } = model.internals;
    const before = pipelines.created;
    const { timed } = await lane.run({ clock: new HostClock("gpu timestamps") });
    assert.is(pipelines.created, before);
    const spans = loadSpans(upload, null, pipelines.compiled, performance.now());
    const names = spans.filter(({ work }) => work === "compile").map(({ name }) => name);
    assert.is(names.length, pipelines.created);
    assert.is(new Set(names).size, names.length);
    // One pipeline can serve several shapes of a kernel, and has the name of the first.
    const sources = new Map(timed.map(({ kernel }) => [kernel.name, JSON.stringify(kernel.shader)]));
    assert.is(names.length, new Set(sources.values()).size);
    assert.ok(names.every((name) => sources.has(name)));
    for (const { begin_ms, ms, detail } of spans) {
      assert.ok(ms >= 0 && begin_ms + ms <= 0, "Loading ends before what comes later begins");
      for (const value of Object.values(detail)) assert.ok(value >= 0);
    }
  }));

test("pipelines that compile side by side count once in their row", () => {
  const compile = (begin_ms: number, ms: number): HostSpan => {
    return { phase: "load", step: null, work: "compile", name: `k${begin_ms}`, begin_ms, ms, detail: {} };
  };
  const spans = [compile(-10, 4), compile(-9, 2), compile(-7, 3), compile(-2, 1)];
  const run: LaneRun = { timed: [], spans: [], began: 0, wall: { prefill: 1, decode: 1 } };
  const [row] = hostRows(spans, run, { prefill: 1, decode: 1 });
  assert.is(row?.name, "compile");
  assert.is(row?.calls, 4);
  assert.is(row?.ms, 7);
});

test("without a clock on the device the host's times each dispatch, and says so", async () => {
  const device = await bareDevice();
  try {
    await withLane(
      async (lane, model) => {
        const clock = await chooseClock(model.internals.gpu, lane);
        assert.match(clock.name, /^host clock .*no timestamp-query/);
        const run = await lane.run({ clock, host: lane.recorder() });
        checkSpans(run);
        // Each dispatch is submitted and awaited alone.
        assert.is(run.spans.filter(({ work }) => work === "submit").length, run.timed.length);
        let until = 0;
        for (const { beginNs, endNs } of run.timed) {
          assert.ok((beginNs ?? -1) >= until && (endNs ?? -1) >= (beginNs ?? 0));
          until = endNs ?? 0;
        }
        clock.dispose();
      },
      { device },
    );
  } finally {
    device.destroy();
  }
});

test("stamps that are zero or run backwards are no time", () => {
  assert.equal(usableStamps(5n, 7n), { beginNs: 5, endNs: 7 });
  assert.equal(usableStamps(5n, 5n), { beginNs: 5, endNs: 5 });
  for (const [begin, end] of [
    [0n, 7n],
    [5n, 0n],
    [0n, 0n],
    [7n, 5n],
  ] as const) {
    assert.equal(usableStamps(begin, end), { beginNs: null, endNs: null });
  }
});

test("a recorder ends a work where the next begins, and refuses more than it has room for", () => {
  const recorder = new HostRecorder(2);
  recorder.enter("encode");
  recorder.step = 4;
  recorder.enter("wait");
  recorder.leave();
  recorder.leave();
  assert.throws(() => recorder.enter("text"), /More than 2 spans/);
  const spans = recorder.take();
  assert.equal(
    spans.map(({ work, step }) => [work, step]),
    [
      ["encode", 0],
      ["wait", 4],
    ],
  );
  assert.is(spans[0]?.ended, spans[1]?.began);
});

test.run();
