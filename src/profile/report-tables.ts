/** The tables of a profile's report. */

import { type Markup, markup } from "./markup.ts";
import type { HostRow, HostSpan, ProfileRow, StageCost } from "./profile-result.ts";

const absent = markup`<span title="unavailable: this clock gave no usable time">–</span>`;

/**
 * Rows of both phases, prefill first.
 * @param what the first column's title
 * @param numbered puts a number before each, counted from 1
 */
export function rowTable(what: string, rows: readonly ProfileRow[], numbered = false): Markup {
  const body = rows.map((row, i) => {
    const stages = row.stages.length > 0 && markup`<br><small>${row.stages.join(", ")}</small>`;
    const heading =
      row.phase !== rows[i - 1]?.phase && markup`<tr><th class="group" colspan="9">${row.phase}</th></tr>`;
    return markup`${heading}<tr><td>${numbered && markup`<small>${i + 1}</small>&nbsp;`}${row.name}${stages}</td><td>${row.calls}</td><td>${fixed(row.ms, 3)}</td>${shareCell(row.share)}<td>${scaled(row.flops)}</td><td>${scaled(row.bytes)}</td><td>${fixed(row.gflop_per_s, 2)}</td><td>${fixed(row.gb_per_s, 2)}</td><td>${percent(row.share_of_roofline)}</td></tr>`;
  });
  return table([what, "calls", "ms", "share", "FLOP", "bytes", "GFLOP/s", "GB/s", "of roofline"], body);
}

/** The host's work, before the run and in it. */
export function hostTable(rows: readonly HostRow[]): Markup {
  const titles = { load: "before the run", prefill: "prefill", decode: "decode" } as const;
  const body = rows.map((row, i) => {
    const heading =
      row.phase !== rows[i - 1]?.phase && markup`<tr><th class="group" colspan="7">${titles[row.phase]}</th></tr>`;
    const none = markup``;
    const share = row.share === null ? markup`<td></td>` : shareCell(row.share);
    const each = row.per_token_ms === null ? none : fixed(row.per_token_ms, 4);
    const bytes = row.bytes === null ? none : scaled(row.bytes);
    const rate = row.gb_per_s === null ? none : fixed(row.gb_per_s, 3);
    return markup`${heading}<tr><td>${row.name}</td><td>${row.calls}</td><td>${fixed(row.ms, 3)}</td>${share}<td>${each}</td><td>${bytes}</td><td>${rate}</td></tr>`;
  });
  return table(["work", "calls", "ms", "share", "ms per token", "bytes", "GB/s"], body);
}

/** All compiled pipelines, the slowest first. */
export function compileTable(spans: readonly HostSpan[]): Markup {
  const body = spans
    .filter(({ work }) => work === "compile")
    .sort((a, b) => b.ms - a.ms)
    .map(
      ({ name, ms, detail }) =>
        markup`<tr><td>${name}</td><td>${fixed(detail.link_ms ?? null, 1)}</td><td>${fixed(detail.compile_ms ?? null, 1)}</td><td>${fixed(ms, 1)}</td></tr>`,
    );
  return table(["pipeline", "link ms", "compile ms", "ms"], body);
}

/** The cost of each stage. */
export function stageTable(costs: readonly StageCost[]): Markup {
  const body = costs.map(
    ({ phase, stage, kind, dispatches, ms, interval: [low, high], share, clock }) =>
      markup`<tr><td>${stage}<br><small>${kind}</small></td><td>${phase}</td><td>${dispatches}</td><td>${fixed(ms, 3)}</td><td>${fixed(low, 3)} to ${fixed(high, 3)}</td><td>${percent(share)}</td><td>${clock}</td></tr>`,
  );
  return table(["stage", "phase", "places", "ms", "95 % interval, ms", "share", "clock"], body);
}

function table(titles: readonly string[], body: readonly Markup[]): Markup {
  const head = titles.map((title) => markup`<th>${title}</th>`);
  return markup`<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`;
}

/** A percentage with a bar of that length. */
function shareCell(share: number | null): Markup {
  if (share === null) return markup`<td>${absent}</td>`;
  return markup`<td class="share" style="--share:${(100 * share).toFixed(1)}%">${percent(share)}</td>`;
}

function fixed(value: number | null, digits: number): Markup {
  return value === null ? absent : markup`${value.toFixed(digits)}`;
}

function percent(value: number | null): Markup {
  return value === null ? absent : markup`${(100 * value).toFixed(1)} %`;
}

/** Three digits and a prefix: `1.23 M`. */
function scaled(value: number): Markup {
  for (const [factor, prefix] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (value >= factor) return markup`${Number((value / factor).toPrecision(3))} ${prefix}`;
  }
  return markup`${value}`;
}
