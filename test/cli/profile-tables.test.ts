/** A profile on the terminal: host rows, missing times, and pipelines with their times. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { profileTables } from "../../src/cli/profile-tables.ts";
import { type HostRow, type HostSpan, hostTimeOfToken, type Profile, type ProfileRow } from "../../src/index.ts";

function hostRow(phase: HostRow["phase"], name: HostRow["name"], ms: number, more: Partial<HostRow> = {}): HostRow {
  return { phase, name, calls: 2, ms, share: null, per_token_ms: null, bytes: null, gb_per_s: null, ...more };
}

function span(work: HostSpan["work"], name: string, ms: number, detail: HostSpan["detail"]): HostSpan {
  return { phase: "load", step: null, work, name, begin_ms: -ms, ms, detail };
}

const row: ProfileRow = {
  phase: "decode",
  name: "norm_x",
  calls: 4,
  ms: null,
  share: null,
  flops: 1234,
  bytes: 5_678_000,
  gflop_per_s: null,
  gb_per_s: null,
  share_of_roofline: null,
  stages: ["calm"],
};
const wall = { plain_ms: 10, recorded_ms: 11, profiled_ms: 12 };
const profile: Profile = {
  model: "m",
  quantization: null,
  stages: ["calm"],
  sluice_version: "0",
  device: "a device",
  prompt_tokens: 3,
  new_tokens: 2,
  clock: "gpu timestamps",
  resolution_ns: 100,
  unusable_stamps: 1,
  ceilings: {
    read_gb_per_s: 1,
    fma_gflop_per_s: 1,
    gemm_gflop_per_s: 1,
    kernels: { read: "r", fma: "f", gemm: "g" },
  },
  time_origin_ms: 0,
  dispatches: [],
  by_label: [],
  by_kernel: [row],
  by_layer: [],
  by_site: [],
  stage_costs: [],
  wall: { prefill: wall, decode: wall },
  host: {
    rows: [
      hostRow("load", "upload", 20, { bytes: 2e6, gb_per_s: 0.1 }),
      hostRow("load", "compile", 7),
      hostRow("decode", "encode", 0.24, { share: 0.02, per_token_ms: 0.12 }),
      hostRow("decode", "wait", 10, { share: 0.91, per_token_ms: 5 }),
    ],
    spans: [
      span("upload", "upload", 20, { bytes: 2e6, pack_ms: 15, write_ms: 4, wait_ms: 1 }),
      ...Array.from({ length: 14 }, (_, i) => span("compile", `kernel_${i}`, i + 1, { link_ms: 0.5, compile_ms: i })),
    ],
  },
};

test("the host's time per token is one line, and each kind of work a row", () => {
  const lines = profileTables(profile, hostTimeOfToken(profile.host.rows)).split("\n");
  assert.ok(lines.includes("host, per decoded token: encode 0.120 ms, wait 5.000 ms"));
  const rows = lines.map((line) => line.trim().split(/\s+/).join(" "));
  assert.ok(rows.includes("20.000 2 2.00 M 0.100 upload before the run"));
  assert.ok(rows.includes("0.240 2.0 % 2 0.1200 encode in decode"));
  assert.ok(
    rows.includes("of upload: 15.0 ms to read and pack, 4.0 ms to hand to the queue, 1.0 ms to wait for the device"),
  );
});

test("the slowest pipelines are listed, and how many are not", () => {
  const lines = profileTables(profile, "").split("\n");
  const at = lines.findIndex((line) => line.startsWith("pipelines compiled: 14"));
  assert.match(lines[at + 2] ?? "", /14\.0 +0\.5 {2}kernel_13$/);
  assert.match(lines[at + 14] ?? "", /^ {2}and 2 more/);
});

test("a missing time is a dash with an explanation, and the cost of profiling is printed", () => {
  const text = profileTables(profile, "");
  assert.match(text, /–: unavailable; 1 of 0 stamps are zero or run backwards/);
  assert.match(text, /– +– +4 +1\.23 k +5\.68 M +– +– +– {2}norm_x {2}\[calm\]/);
  assert.match(text, /decode: 10\.0 ms on the host's clock, 12\.0 ms with the profiler, 11\.0 ms with its host spans/);
});

test.run();
