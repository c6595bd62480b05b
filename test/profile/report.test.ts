/** The report's page: what it says was profiled, and labels that can be read. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Profile, reportOf, traceOf } from "../../src/index.ts";
import { nameOf } from "../../src/profile/profile.ts";

const wall = { plain_ms: 10, recorded_ms: 11, profiled_ms: 12 };
const profile: Profile = {
  model: "gpt2-stories",
  quantization: null,
  stages: [],
  sluice_version: "1.2.3+abc",
  device: "a device",
  prompt_tokens: 64,
  new_tokens: 8,
  clock: "gpu timestamps",
  resolution_ns: 100,
  unusable_stamps: 0,
  ceilings: {
    read_gb_per_s: 5,
    fma_gflop_per_s: 3.26,
    gemm_gflop_per_s: 2.66,
    kernels: { read: "r", fma: "f", gemm: "g" },
  },
  time_origin_ms: 0,
  dispatches: [],
  by_label: [],
  by_kernel: [
    {
      phase: "decode",
      name: "linear_x",
      calls: 1,
      ms: 1,
      share: 1,
      flops: 1e6,
      bytes: 1e6,
      gflop_per_s: 1,
      gb_per_s: 1,
      share_of_roofline: 0.3,
      stages: [],
    },
  ],
  by_layer: [],
  by_site: [],
  stage_costs: [],
  wall: { prefill: wall, decode: wall },
  host: { rows: [], spans: [] },
};

/** Heights of the lines of ceilings and of the baselines of their labels, and the picture's own. */
function ceilingsIn(page: string) {
  const [, corner] = /<polyline points="\S+ \S+,(\S+) \S+"/.exec(page) ?? [];
  const [, dashed] = /<line [^>]*y1="([^"]+)"[^>]*stroke-dasharray/.exec(page) ?? [];
  const [, roofLabel] = /<text class="label"[^>]* y="([^"]+)"[^>]*>[\d.e+]+ GFLOP\/s</.exec(page) ?? [];
  const [, gemmLabel] = /<text class="label"[^>]* y="([^"]+)"[^>]*>[\d.e+]+ GFLOP\/s with/.exec(page) ?? [];
  return { lines: [Number(corner), Number(dashed)], labels: [Number(roofLabel), Number(gemmLabel)] };
}

test("the labels of ceilings meet neither each other nor a line, however near the ceilings are", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.1, max: 1e5, noNaN: true }),
      fc.oneof(fc.double({ min: 0.5, max: 1.2, noNaN: true }), fc.constantFrom(1, 2.66 / 3.26)),
      (roof, ratio) => {
        const ceilings = { ...profile.ceilings, fma_gflop_per_s: roof, gemm_gflop_per_s: roof * ratio };
        const by_kernel = profile.by_kernel.map((row) => ({ ...row, gflop_per_s: roof / 3 }));
        const { lines, labels } = ceilingsIn(reportOf({ ...profile, ceilings, by_kernel }));
        const [first = Number.NaN, second = Number.NaN] = labels;
        assert.ok(Math.abs(first - second) >= 13, `labels at ${labels}`);
        for (const label of labels) {
          assert.ok(label > 8 && label < 380 - 36, `a label at ${label}`);
          // Letters of 11 px: 9 above the baseline, 3 below.
          for (const line of lines) assert.ok(line < label - 9 || line > label + 3, `line ${line}, label ${label}`);
        }
      },
    ),
  );
});

test("title and heading say what was profiled", () => {
  const page = reportOf({ ...profile, quantization: "q8", stages: ["calm", "<loud>"] });
  assert.match(page, "<title>Sluice profile: gpt2-stories in q8, 64 + 8 tokens, a device</title>");
  assert.match(page, "<h1>gpt2-stories in q8 with calm, &lt;loud&gt;</h1>");
  assert.match(page, "<p>On a device, by Sluice 1.2.3+abc.</p>\n<p>64 prompt tokens prefilled, 8 new tokens decoded");
  assert.match(reportOf(profile), "<h1>gpt2-stories</h1>");
  const many = Array.from({ length: 30 }, (_, i) => `s${i}`);
  assert.match(reportOf({ ...profile, stages: many }), "<h1>gpt2-stories with 30 stages</h1>");
});

test("a report and a trace say when, where and by what they were made", () => {
  const origin = { date: "2026-11-29T00:00:00Z", host: "a host", command: "sluice profile '<m>'" };
  assert.match(
    reportOf(profile, origin),
    "Made on 2026-11-29T00:00:00Z on a host, by <code>sluice profile '&lt;m&gt;'</code>.</p>",
  );
  const { otherData } = JSON.parse(traceOf(profile, origin));
  assert.equal(otherData, { model: "gpt2-stories", sluice_version: "1.2.3+abc", device: "a device", ...origin });
});

test("a model is called by the last part of where it came from", () => {
  for (const [from, name] of [
    ["/home/me/weights/gpt2", "gpt2"],
    ["weights\\gpt2\\", "gpt2"],
    ["https://example.org/models/stories260K/", "stories260K"],
    ["https://example.org", "example.org"],
    ["https://huggingface.co/openai-community/gpt2/resolve/main", "gpt2"],
    ["/cache/models--openai-community--gpt2/snapshots/607a30d", "models--openai-community--gpt2"],
    ["my models", "my models"],
    ["./", null],
    ["..", null],
    [null, null],
  ] as const) {
    assert.is(nameOf(from), name, String(from));
  }
});

test.run();
