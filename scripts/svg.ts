/** Plots for docs/, drawn as SVG that reads well on light and dark pages. */

const INK = "#6b7280";
const ACCENT = "#2563eb";
const MUTED = "#9ca3af";

interface Frame {
  readonly title: string;
}

export interface Scatter extends Frame {
  /** What the axes measure. */
  readonly x: string;
  readonly y: string;
  readonly points: readonly { readonly x: number; readonly y: number; readonly label: string }[];
}

/** Sizes on logarithmic axes, hollow where signs differ; the line is x = y. */
export function scatter({ title, x, y, points }: Scatter): string {
  const [width, height, margin] = [560, 560, 64];
  const sizes = points.flatMap((point) => [Math.abs(point.x), Math.abs(point.y)]).filter((size) => size > 0);
  const low = Math.max(-7, Math.floor(Math.log10(Math.min(...sizes))));
  const high = Math.ceil(Math.log10(Math.max(...sizes)));
  const share = (value: number): number =>
    Math.max(0, (Math.log10(Math.max(Math.abs(value), 1e-300)) - low) / (high - low));
  const across = (value: number): string => at(margin + share(value) * (width - 2 * margin));
  const up = (value: number): string => at(height - margin - share(value) * (height - 2 * margin));
  const [least, most] = [10 ** low, 10 ** high];
  const decades = Array.from({ length: high - low + 1 }, (_, i) => low + i);
  return svg(width, height, title, [
    ...decades.flatMap((decade) => [
      line(across(10 ** decade), up(least), across(10 ** decade), up(most)),
      line(across(least), up(10 ** decade), across(most), up(10 ** decade)),
      label(across(10 ** decade), at(height - margin + 18), `1e${decade}`, "middle"),
      label(at(margin - 8), up(10 ** decade), `1e${decade}`, "end"),
    ]),
    `<line x1="${across(least)}" y1="${up(least)}" x2="${across(most)}" y2="${up(most)}" stroke="${MUTED}" stroke-dasharray="4 4"/>`,
    ...points.map((point) => {
      const agrees = Math.sign(point.x) === Math.sign(point.y);
      const fill = agrees ? `fill="${ACCENT}" fill-opacity="0.7"` : `fill="none" stroke="${ACCENT}"`;
      return `<circle cx="${across(point.x)}" cy="${up(point.y)}" r="3.5" ${fill}><title>${escaped(point.label)}</title></circle>`;
    }),
    label(at(width / 2), at(height - 16), x, "middle"),
    `<text transform="translate(18 ${height / 2}) rotate(-90)" text-anchor="middle">${escaped(y)}</text>`,
  ]);
}

export interface Intervals extends Frame {
  /** What is measured. */
  readonly x: string;
  readonly rows: readonly {
    readonly label: string;
    readonly bars: readonly { readonly value: number; readonly low: number; readonly high: number }[];
  }[];
  /** What the bars of a row are, in order. */
  readonly series: readonly string[];
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
}

/** A dot with its interval for each bar, rows below each other. */
export function intervals({ title, x, rows, series, from, to, ticks }: Intervals): string {
  const [width, left, rowHeight, top] = [640, 190, 44, 64];
  const bottom = top + rows.length * rowHeight;
  const across = (value: number): string => at(left + ((value - from) / (to - from)) * (width - left - 30));
  const colours = [MUTED, ACCENT];
  return svg(width, bottom + 52, title, [
    ...ticks.flatMap((tick) => [
      line(across(tick), at(top), across(tick), at(bottom)),
      label(across(tick), at(bottom + 18), String(tick), "middle"),
    ]),
    ...series.map((name, i) => {
      const place = left + 110 * i;
      return `<circle cx="${place}" cy="44" r="4.5" fill="${colours[(i + (series.length % 2)) % 2]}"/>${label(at(place + 10), at(44), name, "start")}`;
    }),
    ...rows.flatMap((row, r) => [
      label(at(left - 14), at(top + (r + 0.5) * rowHeight), row.label, "end"),
      ...row.bars.map(({ value, low, high }, i) => {
        const y = at(top + (r + 0.5) * rowHeight + (i - (row.bars.length - 1) / 2) * 14);
        const colour = colours[(i + (series.length % 2)) % 2];
        return (
          `<line x1="${across(low)}" y1="${y}" x2="${across(high)}" y2="${y}" stroke="${colour}" stroke-width="3"/>` +
          `<circle cx="${across(value)}" cy="${y}" r="4.5" fill="${colour}"/>`
        );
      }),
    ]),
    label(at((left + width) / 2), at(bottom + 42), x, "middle"),
  ]);
}

function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-family="system-ui, sans-serif" font-size="13" fill="${INK}" role="img">\n<title>${escaped(title)}</title>\n` +
    `<text x="${width / 2}" y="22" text-anchor="middle" font-weight="600">${escaped(title)}</text>\n${parts.join("\n")}\n</svg>\n`
  );
}

function line(x1: string, y1: string, x2: string, y2: string): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${MUTED}" stroke-opacity="0.35"/>`;
}

function label(x: string, y: string, text: string, anchor: "start" | "middle" | "end"): string {
  return `<text x="${x}" y="${y}" dy="0.35em" text-anchor="${anchor}">${escaped(text)}</text>`;
}

function at(value: number): string {
  return value.toFixed(1);
}

export function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}
