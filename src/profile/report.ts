/** A profile as one self-contained HTML page: where the time goes, by layer and kernel, and how near to the roofline. */

import { hostTimeOfToken } from "./host.ts";
import { type Markup, markup } from "./markup.ts";
import { reportDoor } from "./profile-argument.ts";
import type { Profile } from "./profile-result.ts";
import { legend, roofline, timeline } from "./report-charts.ts";
import type { ReportOrigin } from "./report-origin.ts";
import { compileTable, hostTable, rowTable, stageTable } from "./report-tables.ts";

const STYLE = markup`
:root { color-scheme: light dark; --ink: light-dark(#1d2733, #e4e9ef); --dim: light-dark(#56636f, #a3b0bd); --line: light-dark(#d7dde3, #38424d); --page: light-dark(#fbfcfd, #14191f); --bar: light-dark(#cfe0f1, #2b4560); }
body { font: 14px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 2rem auto; max-width: 1100px; padding: 0 1rem; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .4rem; } h3 { font-size: .95rem; margin: 1.2rem 0 .3rem; } p { color: var(--dim); margin: .3rem 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(max(10rem, 22%), 1fr)); gap: .8rem 1rem; margin: 1rem 0; padding: 0; list-style: none; } .facts b { display: block; white-space: nowrap; font-size: 1.35rem; font-weight: 600; } .facts small { display: block; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; vertical-align: top; }
th { color: var(--dim); font-weight: 500; } th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 11rem; padding-left: 0; }
th.group { color: var(--ink); font-weight: 600; padding-top: .8rem; }
.share { background: linear-gradient(to left, var(--bar) var(--share), transparent 0) no-repeat right / 100% 100%; min-width: 5rem; }
.scroll { overflow-x: auto; } .chart { display: block; width: 100%; min-width: 720px; height: auto; } .chart text { font: 11px system-ui, sans-serif; fill: var(--ink); } .chart .dim { fill: var(--dim); } .chart .on { fill: #10161c; } .chart .label, .chart .number { stroke: var(--page); stroke-width: 3px; paint-order: stroke; } .chart .number { font-weight: 600; stroke-width: 2px; }
.span { stroke: var(--page); stroke-width: .5; } .grid { stroke: var(--line); stroke-width: 1; } small { color: var(--dim); }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; padding: 0; margin: .3rem 0; list-style: none; color: var(--dim); } .legend i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px; }
details { margin-top: 1.2rem; } summary { cursor: pointer; font-weight: 600; }`;

/**
 * The page needs no script: charts are SVG with hover titles, tables are HTML tables.
 * @param origin when, where and by what the profile was made; printed below the title
 */
export function reportOf(profile: Profile, origin?: ReportOrigin): string {
  return pageOf(...reportDoor.read(profile, origin));
}

function pageOf(profile: Profile, origin: ReportOrigin | undefined): string {
  const {
    model,
    quantization,
    sluice_version,
    device,
    prompt_tokens,
    new_tokens,
    clock,
    resolution_ns,
    unusable_stamps,
    ceilings,
    host,
  } = profile;
  const step =
    resolution_ns !== null &&
    ` in steps of ${resolution_ns < 1000 ? `${resolution_ns} ns` : `${resolution_ns / 1000} µs`}`;
  const unusable =
    unusable_stamps > 0 &&
    markup` ${unusable_stamps} of ${profile.dispatches.length} dispatches gave no usable time (stamps that are zero or run backwards); these, and the rows that contain them, are marked –.`;
  const upload = host.spans.find(({ work }) => work === "upload")?.detail ?? false;
  const pipelines = host.spans.filter(({ work }) => work === "compile").length;
  const what = `${model}${quantization ? ` in ${quantization}` : ""}`;
  const { length } = profile.stages;
  // The table of stages has all of them.
  const stageNames = length > 0 && ` with ${length > 4 ? `${length} stages` : profile.stages.join(", ")}`;
  return markup`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sluice profile: ${what}, ${prompt_tokens} + ${new_tokens} tokens, ${device}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>${STYLE}
</style></head><body>
<h1>${what}${stageNames}</h1>
<p>On ${device}, by Sluice ${sluice_version}.${origin !== undefined && markup` Made on ${origin.date} on ${origin.host}, by <code>${origin.command}</code>.`}</p>
<p>${prompt_tokens} prompt tokens prefilled, ${new_tokens} new tokens decoded, one step per submit. Times of dispatches: ${clock}${step}.${unusable} Point at a bar or a dot for its numbers.</p>
${facts(profile)}
<h2>Over time</h2>${legend(profile)}
<h3>Prefill</h3>${timeline("prefill", profile.dispatches, host.spans)}
<h3>Decode</h3>${timeline("decode", profile.dispatches, host.spans)}
<p>As profiled. ${clock === "gpu timestamps" && "The GPU’s times are placed as early as the host’s submits allow; “stamps” is the profiler reading its clock."}</p>
<h2>Roofline</h2>
<p>Against this device’s own ceilings, measured in the same run: ${ceilings.read_gb_per_s.toPrecision(3)} GB/s and ${ceilings.fma_gflop_per_s.toPrecision(3)} GFLOP/s. A dot is a kernel, as large as its time and numbered as below; outlined dots are decode.</p>
${roofline(profile)}
<h2>Kernels</h2>${rowTable("kernel", profile.by_kernel, true)}
${profile.stage_costs.length > 0 && stages(profile)}
<h2>Host</h2>
<p>Per decoded token: ${hostTimeOfToken(host.rows)}.</p>
${hostTable(host.rows)}
${upload && markup`<p>Of the upload: ${ms(upload.pack_ms)} to read and pack, ${ms(upload.write_ms)} to hand to the queue, ${ms(upload.wait_ms)} to wait for the device.</p>`}
<details><summary>${pipelines} pipelines compiled</summary><p>Several compile at once: a time includes waiting for others.</p>${compileTable(host.spans)}</details>
<h2>Layers</h2>
<p>“ends” is what comes before and after the layers.</p>
${rowTable("layer", profile.by_layer)}
<h2>Places in a layer</h2>${rowTable("place", profile.by_site)}
<details><summary>Every place in the model</summary>${rowTable("place", profile.by_label)}</details>
</body></html>
`.toString();
}

function facts({ wall, prompt_tokens, new_tokens }: Profile): Markup {
  const counts = { prefill: prompt_tokens, decode: new_tokens };
  const items = (["prefill", "decode"] as const).flatMap((phase) => {
    const { plain_ms, recorded_ms, profiled_ms } = wall[phase];
    const rate = ((counts[phase] * 1000) / plain_ms).toPrecision(3);
    return [
      markup`<li><small>${phase}</small><b>${Number(rate)} tokens/s</b><small>${plain_ms.toFixed(1)} ms without profiling</small></li>`,
      markup`<li><small>${phase}, cost of profiling</small><b>${cost(profiled_ms, plain_ms)}</b><small>host spans alone: ${cost(recorded_ms, plain_ms)}</small></li>`,
    ];
  });
  return markup`<ul class="facts">${items}</ul>`;
}

/** If profiled work took no longer, other disturbances hid the cost of profiling. */
function cost(watchedMs: number, plainMs: number): string {
  return watchedMs > plainMs ? `+${(watchedMs - plainMs).toFixed(1)} ms` : "within noise";
}

function ms(value = 0): string {
  return `${value.toFixed(1)} ms`;
}

function stages({ stage_costs }: Profile): Markup {
  return markup`<h2>Stages</h2>
<p>The plan timed with each stage and without it, in turns: the time it adds to the dispatches that carry it, or to the whole phase by the host’s clock, with the 95 % interval of the median.</p>
${stageTable(stage_costs)}`;
}
