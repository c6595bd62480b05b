/** The charts of a profile's report, as SVG with hover titles. */
import { layerOf, siteOf } from "./dispatch-rows.ts";
import { type Markup, markup } from "./markup.ts";
import type { HostSpan, Profile, ProfiledDispatch, ProfileRow } from "./profile-result.ts";

const WIDTH = 1060;
/** Room for the names of a timeline's tracks. */
const NAMES = 64;

const kernelColours: readonly (readonly [name: string, pattern: RegExp, colour: string])[] = [
  ["QKV", /^linear.*qkv/, "#4a86c5"],
  ["MLP in", /^linear.*(?:gated|gelu|silu|relu)/, "#d98532"],
  ["onto the stream", /^linear.*residual/, "#55a868"],
  ["other products", /^linear/, "#8172b3"],
  ["attention", /^attention/, "#c44e52"],
  ["norm", /^norm/, "#8c8c8c"],
  ["other kernels", /^/, "#b0a060"],
];

const workColours: Readonly<Partial<Record<HostSpan["work"], string>>> = {
  encode: "#3d9aa1",
  submit: "#a15c9c",
  wait: "#a9b7c4",
  text: "#c9a227",
  stamps: "#6d5f55",
};

function colourOf(kernel: string): string {
  return kernelColours.find(([, pattern]) => pattern.test(kernel))?.[2] ?? "";
}

/** The legend of a timeline: the colours that occur. */
export function legend({ dispatches, host }: Profile): Markup {
  const used = new Set(dispatches.map(({ kernel }) => colourOf(kernel)));
  const works = new Set(host.spans.map(({ work }) => work));
  const entries = [
    ...kernelColours.filter(([, , colour]) => used.has(colour)).map(([name, , colour]) => [name, colour] as const),
    ...Object.entries(workColours).filter(([work]) => works.has(work as HostSpan["work"])),
  ];
  const items = entries.map(([name, colour]) => markup`<li><i style="background:${colour}"></i>${name}</li>`);
  return markup`<ul class="legend">${items}</ul>`;
}

interface Bar {
  readonly begin: number;
  readonly end: number;
  readonly colour: string;
  readonly opacity: number;
  /** Label, shown if there is room. */
  readonly name: string;
  readonly title: string;
}

/** A phase from left to right: the host's work, below it the GPU's layers, and below each its dispatches. */
export function timeline(
  phase: "prefill" | "decode",
  dispatches: readonly ProfiledDispatch[],
  spans: readonly HostSpan[],
): Markup {
  const timed = dispatches.filter((each) => each.phase === phase && each.ms !== null && each.begin_ms !== null);
  const host = spans
    .filter((span) => span.phase === phase)
    .map(({ name, work, begin_ms, ms, step }): Bar => {
      const title = `${name}, step ${step}: ${ms.toFixed(3)} ms`;
      return { begin: begin_ms, end: begin_ms + ms, colour: workColours[work] ?? "", opacity: 1, name, title };
    });
  const kernels = timed.map((each): Bar => {
    const { label, kernel, stages, step, ms, begin_ms } = each;
    const title = [`${label}, step ${step}: ${ms?.toFixed(3)} ms`, kernel, stages.join(", ")].join("\n").trim();
    const begin = begin_ms as number;
    const name = siteOf(each);
    return { begin, end: begin + (ms as number), colour: colourOf(kernel), opacity: 1, name, title };
  });
  const tracks: readonly (readonly [name: string, bars: readonly Bar[]])[] = [
    ["host", host],
    ["layers", layerBars(timed)],
    ["kernels", kernels],
  ];
  const all = tracks.flatMap(([, bars]) => bars);
  if (all.length === 0) return markup`<p>There is nothing to show for this phase.</p>`;
  const first = all.reduce((least, { begin }) => Math.min(least, begin), Infinity);
  const last = all.reduce((most, { end }) => Math.max(most, end), -Infinity);
  const scale = (WIDTH - NAMES) / (last - first || 1);
  const x = (ms: number) => NAMES + (ms - first) * scale;
  const parts: Markup[] = [];
  const height = 26;
  const bottom = tracks.length * (height + 4);
  for (const at of ticks(last - first)) {
    const left = x(first + at).toFixed(1);
    parts.push(markup`<line class="grid" x1="${left}" x2="${left}" y1="0" y2="${bottom + 3}"/>`);
    // The last label would leave the picture.
    const anchor = at * scale > WIDTH - NAMES - 40 ? "end" : at === 0 ? "start" : "middle";
    parts.push(markup`<text class="dim" x="${left}" y="${bottom + 15}" text-anchor="${anchor}">${at} ms</text>`);
  }
  tracks.forEach(([name, bars], i) => {
    const top = i * (height + 4);
    parts.push(markup`<text class="dim" x="0" y="${top + 17}">${name}</text>`);
    for (const { begin, end, colour, opacity, name: text, title } of bars) {
      const wide = Math.max(0.4, (end - begin) * scale);
      const left = x(begin);
      // A narrow bar would consist of its outline only.
      const outline = wide > 3 && markup` class="span"`;
      parts.push(
        markup`<rect${outline} x="${left.toFixed(2)}" y="${top}" width="${wide.toFixed(2)}" height="${height}" fill="${colour}" fill-opacity="${opacity}"><title>${title}</title></rect>`,
      );
      if (wide > 8 + 6.6 * text.length) {
        const className = opacity < 1 ? "" : "on";
        parts.push(
          markup`<text class="${className}" x="${(left + wide / 2).toFixed(1)}" y="${top + 17}" text-anchor="middle">${text}</text>`,
        );
      }
    }
  });
  return markup`<div class="scroll"><svg class="chart" viewBox="0 0 ${WIDTH} ${bottom + 20}" role="img" aria-label="${phase} over time">${parts}</svg></div>`;
}

/** One bar for each run of dispatches of one layer in one step. */
function layerBars(timed: readonly ProfiledDispatch[]): readonly Bar[] {
  const bars: Bar[] = [];
  for (let i = 0; i < timed.length; ) {
    const from = timed[i] as ProfiledDispatch;
    let j = i;
    while (timed[j + 1]?.layer === from.layer && timed[j + 1]?.step === from.step) j++;
    const to = timed[j] as ProfiledDispatch;
    const [begin, end] = [from.begin_ms as number, (to.begin_ms as number) + (to.ms as number)];
    const name = layerOf(from);
    const title = `${name}, step ${from.step}: ${(end - begin).toFixed(3)} ms`;
    bars.push({ begin, end, colour: "#7f93a8", opacity: from.layer === null ? 0.2 : 0.45, name, title });
    i = j + 1;
  }
  return bars;
}

/** About six round values from 0 to `end`. */
function ticks(end: number): readonly number[] {
  if (!(end > 0)) return [0];
  const rough = end / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  return Array.from({ length: Math.floor(end / step) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

/** Operations per second over operations per byte, both logarithmic; dots have the numbers of the table of kernels. */
export function roofline({ by_kernel, ceilings }: Profile): Markup {
  const dots = by_kernel
    .map((row, i) => ({ row, number: i + 1 }))
    .filter(({ row }) => row.gflop_per_s !== null && row.flops > 0 && row.bytes > 0 && row.ms !== null);
  if (dots.length === 0) return markup`<p>No kernel has a time to place.</p>`;
  const [height, left, bottom] = [380, 52, 36];
  const { fma_gflop_per_s: roof, gemm_gflop_per_s: gemm, read_gb_per_s: read } = ceilings;
  const intensities = dots.map(({ row }) => row.flops / row.bytes);
  const rates = dots.map(({ row }) => row.gflop_per_s as number);
  const span = [
    Math.min(0.1, ...intensities) / 1.5,
    Math.max(roof / read, ...intensities) * 3,
  ] as const satisfies Range;
  const range = [Math.min(...rates, span[0] * read) / 1.5, Math.max(roof, gemm) * 1.8] as const satisfies Range;
  const x = (value: number) => left + place(value, span) * (WIDTH - left - 10);
  const y = (value: number) => height - bottom - place(value, range) * (height - bottom - 8);
  const slope = [span[0], roof / read, span[1]]
    .map((at) => `${x(at).toFixed(1)},${y(Math.min(at * read, roof)).toFixed(1)}`)
    .join(" ");
  const parts: Markup[] = [];
  for (const power of powers(span)) {
    const at = x(power).toFixed(1);
    parts.push(markup`<line class="grid" x1="${at}" x2="${at}" y1="8" y2="${height - bottom}"/>`);
    parts.push(
      markup`<text class="dim" x="${at}" y="${height - bottom + 14}" text-anchor="middle">${label(power)}</text>`,
    );
  }
  for (const power of powers(range)) {
    const at = y(power);
    parts.push(
      markup`<line class="grid" x1="${left}" x2="${WIDTH - 10}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}"/>`,
    );
    parts.push(
      markup`<text class="dim" x="${left - 6}" y="${(at + 4).toFixed(1)}" text-anchor="end">${label(power)}</text>`,
    );
  }
  const dashed = y(Math.max(range[0], gemm));
  parts.push(
    markup`<polyline points="${slope}" fill="none" stroke="currentColor" stroke-width="1.5"/>`,
    markup`<line x1="${left}" x2="${WIDTH - 10}" y1="${dashed.toFixed(1)}" y2="${dashed.toFixed(1)}" stroke="currentColor" stroke-dasharray="5 5" stroke-opacity=".5"/>`,
  );
  const [roofAt, gemmAt] = besideLines(y(roof), dashed);
  const labels = [
    markup`<text class="label" x="${WIDTH - 14}" y="${roofAt.toFixed(1)}" text-anchor="end">${roof.toPrecision(3)} GFLOP/s</text>`,
    markup`<text class="label" x="${WIDTH - 14}" y="${gemmAt.toFixed(1)}" text-anchor="end">${gemm.toPrecision(3)} GFLOP/s with a matrix product’s loads</text>`,
    markup`<text class="label" x="${(x(span[0]) + 8).toFixed(1)}" y="${(y(span[0] * read) - 16).toFixed(1)}">${read.toPrecision(3)} GB/s</text>`,
  ];
  const most = Math.max(...dots.map(({ row }) => row.ms as number));
  const numbered: { readonly x: number; readonly y: number }[] = [];
  const texts: Markup[] = [];
  for (const { row, number } of [...dots].sort((a, b) => (b.row.ms as number) - (a.row.ms as number))) {
    const at = { x: x(row.flops / row.bytes), y: y(row.gflop_per_s as number) };
    const radius = 8 + 10 * Math.sqrt((row.ms as number) / most);
    parts.push(
      markup`<circle cx="${at.x.toFixed(1)}" cy="${at.y.toFixed(1)}" r="${radius.toFixed(1)}" fill="${colourOf(row.name)}" fill-opacity=".75" stroke="currentColor" stroke-width="${row.phase === "decode" ? 1.5 : 0}"><title>${dotTitle(row, number)}</title></circle>`,
    );
    // Overlapping numbers are unreadable, so the smaller dot gets none.
    if (numbered.some((other) => Math.abs(other.x - at.x) < 16 && Math.abs(other.y - at.y) < 12)) continue;
    numbered.push(at);
    texts.push(
      markup`<text class="number" x="${at.x.toFixed(1)}" y="${(at.y + 4).toFixed(1)}" text-anchor="middle">${number}</text>`,
    );
  }
  return markup`<div class="scroll"><svg class="chart" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Roofline">${parts}${labels}${texts}
<text class="dim" x="${WIDTH - 10}" y="${height - 4}" text-anchor="end">FLOP per byte</text><text class="dim" x="0" y="${height - 4}">GFLOP/s</text></svg></div>`;
}

/**
 * The baselines of two horizontal lines' labels: each above its line, except that the lower label goes below its line
 * if it would run into the upper line or its label.
 */
function besideLines(first: number, second: number): readonly [first: number, second: number] {
  const below = Math.abs(first - second) < 24;
  const at = (line: number, isLower: boolean) => (below && isLower ? line + 14 : line - 6);
  return [at(first, first > second), at(second, first <= second)];
}

type Range = readonly [low: number, high: number];

/** The logarithmic position of a value between two others, from 0 to 1. */
function place(value: number, [low, high]: Range): number {
  return Math.log(value / low) / Math.log(high / low);
}

/** The powers of ten in a range. */
function powers([low, high]: Range): readonly number[] {
  const first = Math.ceil(Math.log10(low));
  const count = Math.floor(Math.log10(high)) - first + 1;
  return Array.from({ length: Math.max(0, count) }, (_, i) => 10 ** (first + i));
}

function label(power: number): string {
  return Number(power.toPrecision(1)).toLocaleString("en-US", { maximumSignificantDigits: 1 });
}

function dotTitle(row: ProfileRow, number: number): string {
  const rate = `${(row.gflop_per_s as number).toPrecision(3)} GFLOP/s at ${(row.flops / row.bytes).toPrecision(2)} FLOP per byte`;
  return `${number}: ${row.name} (${row.phase})\n${rate}\n${(100 * (row.share_of_roofline ?? 0)).toFixed(0)} % of the roofline`;
}
