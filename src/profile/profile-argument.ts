/** The rule for a profile passed to a function, perhaps from a file: the fields that reports, traces and tracks read. */

import { entry, optional } from "../arguments/entry.ts";
import { fields, needed } from "../arguments/fields.ts";
import { isOptions, listOf, tuple } from "../arguments/lists.ts";
import { either, test } from "../arguments/rule.ts";
import { finite, nothing, oneOf, text, whole } from "../arguments/rules.ts";
import type { Ceilings } from "./ceilings.ts";
import type {
  ClockName,
  HostPhase,
  HostRow,
  HostSpan,
  Phase,
  Profile,
  ProfiledDispatch,
  ProfileRow,
  StageCost,
  WallTimes,
} from "./profile-result.ts";
import type { ReportOrigin } from "./report-origin.ts";

const number = needed(finite());
const size = needed(finite({ least: 0 }));
const count = needed(whole({ least: 0 }));
const name = needed(text);
const names = needed(listOf(text));
const perhaps = needed(either(nothing, finite()));
const phase = needed(oneOf<Phase>(["prefill", "decode"]));
const hostPhase = needed(oneOf<HostPhase>(["load", "prefill", "decode"]));

const dispatch = fields<ProfiledDispatch>(
  "a dispatch",
  "kept",
)({
  phase,
  step: count,
  label: name,
  layer: perhaps,
  kernel: name,
  stages: names,
  begin_ms: perhaps,
  ms: perhaps,
  flops: size,
  bytes: size,
});

const row = fields<ProfileRow>(
  "a row",
  "kept",
)({
  phase,
  name,
  calls: count,
  ms: perhaps,
  share: perhaps,
  flops: size,
  bytes: size,
  gflop_per_s: perhaps,
  gb_per_s: perhaps,
  share_of_roofline: perhaps,
  stages: names,
});

const stageCost = fields<StageCost>(
  "the cost of a stage",
  "kept",
)({
  phase,
  stage: name,
  kind: name,
  dispatches: count,
  ms: number,
  interval: needed(tuple("[low, high]", finite(), finite())),
  share: number,
  clock: needed(oneOf(["gpu timestamps", "host"])),
});

const hostRow = fields<HostRow>(
  "a row of the host",
  "kept",
)({
  phase: hostPhase,
  name: needed(test<HostRow["name"]>("the name of a work", (value) => typeof value === "string")),
  calls: count,
  ms: number,
  share: perhaps,
  per_token_ms: perhaps,
  bytes: perhaps,
  gb_per_s: perhaps,
});

const hostSpan = fields<HostSpan>(
  "a span of the host",
  "kept",
)({
  phase: hostPhase,
  step: perhaps,
  work: needed(test<HostSpan["work"]>("the name of a work", (value) => typeof value === "string")),
  name,
  begin_ms: number,
  ms: number,
  detail: needed(test<HostSpan["detail"]>("an object", isOptions)),
});

const wallTimes = needed(
  fields<WallTimes>("times of a phase", "kept")({ plain_ms: number, recorded_ms: number, profiled_ms: number }),
);

const rows = needed(listOf(row));

const profile = fields<Profile>(
  "a profile, as profileModel gives it",
  "kept",
)({
  model: name,
  quantization: needed(either(nothing, name)),
  stages: names,
  sluice_version: name,
  device: name,
  prompt_tokens: count,
  new_tokens: count,
  clock: needed(test<ClockName>("the name of a clock", (value) => typeof value === "string")),
  resolution_ns: perhaps,
  unusable_stamps: count,
  ceilings: needed(
    fields<Ceilings>(
      "ceilings",
      "kept",
    )({
      read_gb_per_s: number,
      fma_gflop_per_s: number,
      gemm_gflop_per_s: number,
      kernels: needed(test<Ceilings["kernels"]>("an object", isOptions)),
    }),
  ),
  time_origin_ms: number,
  dispatches: needed(listOf(dispatch)),
  by_label: rows,
  by_kernel: rows,
  by_layer: rows,
  by_site: rows,
  stage_costs: needed(listOf(stageCost)),
  wall: needed(fields<Profile["wall"]>("times by phase", "kept")({ prefill: wallTimes, decode: wallTimes })),
  host: needed(
    fields<Profile["host"]>(
      "rows and spans of the host",
      "kept",
    )({
      rows: needed(listOf(hostRow)),
      spans: needed(listOf(hostSpan)),
    }),
  ),
});

const origin = optional(fields<ReportOrigin>("{ date, host, command }")({ date: name, host: name, command: name }));

export const reportDoor = entry("reportOf", ["profile", profile], ["origin", origin]);
export const traceDoor = entry("traceOf", ["profile", profile], ["origin", origin]);
export const measureDoor = entry("measureInPage", ["profile", profile]);
export const hostTimeDoor = entry("hostTimeOfToken", ["rows", listOf(hostRow)]);
