/** A profile as text for a terminal. */
import type { HostRow, Profile, ProfileRow, StageCost } from "../index.ts";

/** How many kernels of a phase, and how many pipelines, are listed. */
const SHOWN = 12;

/** @param tokenTime host time per decoded token, as one line */
export function profileTables(profile: Profile, tokenTime: string): string {
  const { wall, clock, resolution_ns, unusable_stamps, dispatches } = profile;
  const lines = [
    `${profile.device}: ${profile.prompt_tokens} tokens prefilled, ${profile.new_tokens} decoded`,
    `times: ${clock}${resolution_ns === null ? "" : `, steps of ${resolution_ns} ns`}`,
  ];
  if (unusable_stamps > 0) {
    lines.push(`–: unavailable; ${unusable_stamps} of ${dispatches.length} stamps are zero or run backwards`);
  }
  for (const phase of ["prefill", "decode"] as const) {
    const { plain_ms, recorded_ms, profiled_ms } = wall[phase];
    lines.push(
      "",
      `${phase}: ${plain_ms.toFixed(1)} ms on the host's clock, ${profiled_ms.toFixed(1)} ms with the profiler, ${recorded_ms.toFixed(1)} ms with its host spans alone`,
    );
    const own = (rows: readonly ProfileRow[]) => rows.filter((row) => row.phase === phase).slice(0, SHOWN);
    lines.push(...rowLines("kernel", own(profile.by_kernel)), ...rowLines("place in a layer", own(profile.by_site)));
    lines.push(...rowLines("layer", own(profile.by_layer)));
  }
  if (profile.stage_costs.length > 0) lines.push("", ...stageLines(profile.stage_costs));
  lines.push("", ...hostLines(profile, tokenTime));
  return `${lines.join("\n")}\n`;
}

function rowLines(what: string, rows: readonly ProfileRow[]): readonly string[] {
  const head = `  ${"ms".padStart(9)} ${"share".padStart(7)} ${"calls".padStart(6)} ${"FLOP".padStart(8)} ${"bytes".padStart(8)} ${"GFLOP/s".padStart(8)} ${"GB/s".padStart(7)} ${"roofline".padStart(9)}  ${what}`;
  return [head, ...rows.map(rowLine)];
}

function rowLine(row: ProfileRow): string {
  const { ms, share, calls, flops, bytes, gflop_per_s, gb_per_s, share_of_roofline, name, stages } = row;
  const carried = stages.length > 0 ? `  [${stages.join(", ")}]` : "";
  return `  ${number(ms, 9, 3)} ${percent(share, 7)} ${String(calls).padStart(6)} ${scaled(flops, 8)} ${scaled(bytes, 8)} ${number(gflop_per_s, 8, 2)} ${number(gb_per_s, 7, 2)} ${percent(share_of_roofline, 9)}  ${name}${carried}`;
}

function stageLines(costs: readonly StageCost[]): readonly string[] {
  const host = costs.some((cost) => cost.clock === "host");
  return [
    `stages, with and without each${host ? ", whole phases by the host's clock" : ""}:`,
    `  ${"ms".padStart(9)} ${"share".padStart(7)} ${"95 % of".padStart(18)} ${"places".padStart(6)}  stage`,
    ...costs.map(({ phase, stage, ms, interval, share, dispatches }) => {
      const range = `${interval[0].toFixed(3)} to ${interval[1].toFixed(3)}`;
      return `  ${number(ms, 9, 3)} ${percent(share, 7)} ${range.padStart(18)} ${String(dispatches).padStart(6)}  ${stage} in ${phase}`;
    }),
  ];
}

function hostLines({ host }: Profile, tokenTime: string): readonly string[] {
  const titles: Readonly<Record<HostRow["phase"], string>> = {
    load: "before the run",
    prefill: "in prefill",
    decode: "in decode",
  };
  const compiled = host.spans.filter(({ work }) => work === "compile").sort((a, b) => b.ms - a.ms);
  const upload = host.spans.find(({ work }) => work === "upload")?.detail ?? {};
  const part = (name: string) => `${(upload[name] ?? 0).toFixed(1)} ms`;
  return [
    `host, per decoded token: ${tokenTime}`,
    `  ${"ms".padStart(9)} ${"share".padStart(7)} ${"calls".padStart(6)} ${"ms/token".padStart(9)} ${"bytes".padStart(8)} ${"GB/s".padStart(7)}  work`,
    ...host.rows.map(({ phase, name, calls, ms, share, per_token_ms, bytes, gb_per_s }) => {
      const cells = [number(ms, 9, 3), share === null ? " ".repeat(7) : percent(share, 7), String(calls).padStart(6)];
      cells.push(per_token_ms === null ? " ".repeat(9) : number(per_token_ms, 9, 4));
      cells.push(bytes === null ? " ".repeat(8) : scaled(bytes, 8));
      cells.push(gb_per_s === null ? " ".repeat(7) : number(gb_per_s, 7, 3));
      return `  ${cells.join(" ")}  ${name} ${titles[phase]}`;
    }),
    `  of upload: ${part("pack_ms")} to read and pack, ${part("write_ms")} to hand to the queue, ${part("wait_ms")} to wait for the device`,
    "",
    `pipelines compiled: ${compiled.length}, several at once, so that a time includes waiting for others`,
    `  ${"ms".padStart(9)} ${"linking".padStart(8)}  pipeline`,
    ...compiled
      .slice(0, SHOWN)
      .map(({ name, ms, detail }) => `  ${number(ms, 9, 1)} ${number(detail.link_ms ?? null, 8, 1)}  ${name}`),
    ...(compiled.length > SHOWN ? [`  and ${compiled.length - SHOWN} more (--json and --html have them)`] : []),
  ];
}

function number(value: number | null, width: number, digits: number): string {
  return (value === null ? "–" : value.toFixed(digits)).padStart(width);
}

function percent(value: number | null, width: number): string {
  return (value === null ? "–" : `${(100 * value).toFixed(1)} %`).padStart(width);
}

/** Three digits and a prefix: `1.23 M`. */
function scaled(value: number, width: number): string {
  const units = [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const;
  const unit = units.find(([factor]) => value >= factor);
  return (unit ? `${(value / unit[0]).toPrecision(3)} ${unit[1]}` : String(value)).padStart(width);
}
