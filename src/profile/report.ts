/** A profile as one self-contained HTML page: where the time goes, by layer and kernel, and how near to the roofline. */
import type { Profile, ProfiledDispatch, ProfileRow } from "./profile.ts";
import type { StageCost } from "./stage-costs.ts";

/** The page needs no script: charts are SVG with titles to point at, tables are tables. */
export function reportOf(profile: Profile): string {
  const { device, prompt_tokens, new_tokens, clock, resolution_ns, ceilings, wall } = profile;
  const step =
    resolution_ns === null
      ? ""
      : `, steps of ${resolution_ns < 1000 ? `${resolution_ns} ns` : `${resolution_ns / 1000} µs`}`;
  const cost = (phase: "prefill" | "decode") =>
    `${phase}: ${wall[phase].plain_ms.toFixed(1)} ms, ${wall[phase].profiled_ms.toFixed(1)} ms with the profiler`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sluice profile: ${escaped(device)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; --ink: light-dark(#1d2733, #e4e9ef); --dim: light-dark(#5c6b7a, #93a1b0); --line: light-dark(#d7dde3, #38424d); --page: light-dark(#fbfcfd, #14191f); }
body { font: 14px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 2rem auto; max-width: 1100px; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; } p { color: var(--dim); margin: .3rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--dim); font-weight: 500; } th:first-child, td:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: var(--ink); } svg .dim { fill: var(--dim); }
svg rect.span { stroke: var(--page); stroke-width: .5; } .scroll { overflow-x: auto; } small { color: var(--dim); }
</style></head><body>
<h1>${escaped(device)}</h1>
<p>${prompt_tokens} tokens prefilled, ${new_tokens} decoded. Times are ${escaped(clock)}${step}. Point at a bar or a dot for its numbers.</p>
<p>On the host's clock: ${cost("prefill")}; ${cost("decode")}.</p>
<h2>Prefill</h2>${flame(profile.dispatches.filter(({ phase }) => phase === "prefill"))}
<h2>Decode</h2>${flame(profile.dispatches.filter(({ phase }) => phase === "decode"))}
<h2>Roofline</h2>
<p>Against this device's own ceilings: ${ceilings.read_gb_per_s.toPrecision(3)} GB/s and ${ceilings.fma_gflop_per_s.toPrecision(3)} GFLOP/s (dashed: ${ceilings.gemm_gflop_per_s.toPrecision(3)} with the loads of a matrix product). A dot is a kernel, as large as its time.</p>
${roofline(profile)}
${stageTable(profile.stage_costs)}
<h2>Kernels</h2>${table(profile.by_kernel)}
<h2>Places in the model</h2>${table(profile.by_label)}
</body></html>
`;
}

const COLOURS: readonly (readonly [pattern: RegExp, colour: string])[] = [
  [/^linear.*qkv/, "#4a86c5"],
  [/^linear.*(?:gated|gelu|silu|relu)/, "#d98532"],
  [/^linear.*residual/, "#55a868"],
  [/^linear/, "#8172b3"],
  [/^attention/, "#c44e52"],
  [/^norm/, "#8c8c8c"],
];

function colourOf(kernel: string): string {
  return COLOURS.find(([pattern]) => pattern.test(kernel))?.[1] ?? "#b0a060";
}

/** Time from left to right; below each layer its dispatches. */
function flame(dispatches: readonly ProfiledDispatch[]): string {
  const timed = dispatches.filter((each) => each.begin_ms !== null && each.ms !== null);
  const first = timed[0]?.begin_ms;
  if (first === null || first === undefined) return "<p>This device gave no usable time for these dispatches.</p>";
  const end = Math.max(...timed.map((each) => (each.begin_ms as number) + (each.ms as number)));
  const width = 1060;
  const x = (ms: number) => ((ms - first) / (end - first || 1)) * width;
  const bars = timed.map((each) => {
    const left = x(each.begin_ms as number);
    const wide = Math.max(0.4, x((each.begin_ms as number) + (each.ms as number)) - left);
    const stages = each.stages.length > 0 ? `\n${each.stages.join(", ")}` : "";
    const title = `${each.label}: ${(each.ms as number).toFixed(3)} ms\n${each.kernel}${stages}`;
    return `<rect class="span" x="${left.toFixed(2)}" y="26" width="${wide.toFixed(2)}" height="34" fill="${colourOf(each.kernel)}"><title>${escaped(title)}</title></rect>`;
  });
  const layers: string[] = [];
  for (let i = 0; i < timed.length; ) {
    let j = i;
    while (j + 1 < timed.length && timed[j + 1]?.layer === timed[i]?.layer && timed[j + 1]?.step === timed[i]?.step)
      j++;
    const [from, to] = [timed[i] as ProfiledDispatch, timed[j] as ProfiledDispatch];
    const left = x(from.begin_ms as number);
    const wide = Math.max(0.4, x((to.begin_ms as number) + (to.ms as number)) - left);
    const name = from.layer === null ? "ends" : `layer ${from.layer}`;
    const text = wide > 46 ? `<text x="${(left + 4).toFixed(1)}" y="16">${name}</text>` : "";
    layers.push(
      `<rect class="span" x="${left.toFixed(2)}" y="2" width="${wide.toFixed(2)}" height="20" fill="#7f93a8" fill-opacity="${from.layer === null ? 0.2 : 0.4}"><title>${name}, step ${from.step}</title></rect>${text}`,
    );
    i = j + 1;
  }
  return `<svg viewBox="0 0 ${width} 82" role="img" aria-label="Dispatches over time">${layers.join("")}${bars.join("")}<text class="dim" x="0" y="76">0</text><text class="dim" x="${width}" y="76" text-anchor="end">${(end - first).toFixed(2)} ms</text></svg>`;
}

/** Operations a second against operations a byte, both logarithmic. */
function roofline({ by_kernel, ceilings }: Profile): string {
  const dots = by_kernel.filter((row) => row.gflop_per_s !== null && row.flops > 0 && row.bytes > 0 && row.ms !== null);
  if (dots.length === 0) return "<p>No kernel has a time to place.</p>";
  const [width, height, pad] = [1060, 340, 44];
  const roof = ceilings.fma_gflop_per_s;
  const intensities = dots.map((row) => row.flops / row.bytes);
  const span = [
    Math.min(0.1, ...intensities) / 1.5,
    Math.max(roof / ceilings.read_gb_per_s, ...intensities) * 3,
  ] as const;
  const rates = dots.map((row) => row.gflop_per_s as number);
  const range = [Math.min(...rates, span[0] * ceilings.read_gb_per_s) / 1.5, roof * 1.6] as const;
  const place = (value: number, [low, high]: readonly [number, number]) => Math.log(value / low) / Math.log(high / low);
  const x = (value: number) => pad + place(value, span) * (width - pad - 10);
  const y = (value: number) => height - pad + 10 - place(value, range) * (height - pad - 10);
  const knee = roof / ceilings.read_gb_per_s;
  const slope = `${x(span[0]).toFixed(1)},${y(span[0] * ceilings.read_gb_per_s).toFixed(1)} ${x(knee).toFixed(1)},${y(roof).toFixed(1)} ${x(span[1]).toFixed(1)},${y(roof).toFixed(1)}`;
  const total = Math.max(...dots.map((row) => row.ms as number));
  const circles = dots.map((row) => {
    const radius = 3 + 11 * Math.sqrt((row.ms as number) / total);
    const title = `${row.name} (${row.phase})\n${(row.gflop_per_s as number).toPrecision(3)} GFLOP/s at ${(row.flops / row.bytes).toPrecision(2)} FLOP a byte\n${(100 * (row.share_of_roofline ?? 0)).toFixed(0)} % of the roofline`;
    return `<circle cx="${x(row.flops / row.bytes).toFixed(1)}" cy="${y(row.gflop_per_s as number).toFixed(1)}" r="${radius.toFixed(1)}" fill="${colourOf(row.name)}" fill-opacity=".65" stroke="${row.phase === "decode" ? "currentColor" : "none"}"><title>${escaped(title)}</title></circle>`;
  });
  const gemm = y(Math.max(range[0], ceilings.gemm_gflop_per_s)).toFixed(1);
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="Roofline">
<polyline points="${slope}" fill="none" stroke="currentColor" stroke-width="1.5"/>
<line x1="${pad}" x2="${width - 10}" y1="${gemm}" y2="${gemm}" stroke="currentColor" stroke-dasharray="5 5" stroke-opacity=".5"/>
${circles.join("\n")}
<text class="dim" x="${width - 10}" y="${height - 6}" text-anchor="end">FLOP a byte (logarithmic), ${span[0].toPrecision(1)} to ${span[1].toPrecision(2)}</text>
<text class="dim" x="4" y="12">GFLOP/s (logarithmic), ${range[0].toPrecision(1)} to ${range[1].toPrecision(2)}; outlined: decode</text></svg>`;
}

function table(rows: readonly ProfileRow[]): string {
  const number = (value: number | null, digits: number) => (value === null ? "–" : value.toFixed(digits));
  const percent = (value: number | null) => (value === null ? "–" : `${(100 * value).toFixed(1)} %`);
  const body = rows.map((row) => {
    const stages = row.stages.length > 0 ? `<br><small>${escaped(row.stages.join(", "))}</small>` : "";
    return `<tr><td>${escaped(row.name)}${stages}</td><td>${row.phase}</td><td>${row.calls}</td><td>${number(row.ms, 3)}</td><td>${percent(row.share)}</td><td>${number(row.gflop_per_s, 2)}</td><td>${number(row.gb_per_s, 2)}</td><td>${percent(row.share_of_roofline)}</td></tr>`;
  });
  return `<div class="scroll"><table><thead><tr><th></th><th>phase</th><th>calls</th><th>ms</th><th>share</th><th>GFLOP/s</th><th>GB/s</th><th>of roofline</th></tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

/** What each stage costs, if there are any. */
function stageTable(costs: readonly StageCost[]): string {
  if (costs.length === 0) return "";
  const body = costs.map(({ phase, stage, kind, dispatches, ms, interval, share, clock }) => {
    const range = `${interval[0].toFixed(3)} to ${interval[1].toFixed(3)}`;
    return `<tr><td>${escaped(stage)}<br><small>${kind}</small></td><td>${phase}</td><td>${dispatches}</td><td>${ms.toFixed(3)}</td><td>${range}</td><td>${(100 * share).toFixed(1)} %</td><td>${clock}</td></tr>`;
  });
  return `<h2>Stages</h2>
<p>The plan timed with each stage and without it, in turns: what it adds to the dispatches that carry it, and where the median lies 95 times of 100.</p>
<div class="scroll"><table><thead><tr><th></th><th>phase</th><th>places</th><th>ms</th><th>95 %</th><th>share</th><th>clock</th></tr></thead><tbody>${body.join("")}</tbody></table></div>`;
}

function escaped(text: string): string {
  return text.replace(
    /[&<>"]/g,
    (character) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[character] ?? "",
  );
}
