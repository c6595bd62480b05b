/** A sweep as an SVG picture: a panel per measure, a line per layer over the strengths. */
import type { Sweep, SweepCell } from "../index.ts";

interface Measure {
  readonly title: string;
  of(cell: SweepCell): number | null;
}

const MEASURES: readonly Measure[] = [
  { title: "perplexity on the texts", of: ({ texts }) => texts?.perplexity ?? null },
  { title: "KL on the texts, nats per token", of: ({ texts }) => texts?.kl_nats ?? null },
  { title: "KL after the prompts, nats", of: ({ prompts }) => prompts?.kl_nats ?? null },
  { title: "mean score of the continuations", of: ({ prompts }) => prompts?.score ?? null },
];

const [WIDTH, HEIGHT, LEFT, TOP, BOTTOM] = [420, 240, 70, 34, 46];
const RIGHT = 16;
const INK = "#333";
const GRID = "#ddd";

/** @param title names the sweep, above the panels */
export function sweepPlot(sweep: Sweep, title: string): string {
  const panels = MEASURES.filter(({ of }) => sweep.cells.some((cell) => of(cell) !== null));
  const legend = sweep.layers.length > 1 ? legendOf(sweep) : "";
  const width = WIDTH * Math.min(2, panels.length);
  const head = legend === "" ? 34 : 58;
  const height = head + HEIGHT * Math.ceil(panels.length / 2);
  const drawn = panels.map((measure, i) => {
    return `<g transform="translate(${(i % 2) * WIDTH} ${head + Math.floor(i / 2) * HEIGHT})">${panel(sweep, measure)}</g>`;
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-family="system-ui, sans-serif" font-size="12" fill="${INK}" role="img">\n<title>${escaped(title)}</title>\n` +
    `<rect width="100%" height="100%" fill="#fff"/>\n` +
    `<text x="${width / 2}" y="20" text-anchor="middle" font-weight="600">${escaped(title)}</text>\n${legend}` +
    `${drawn.join("\n")}\n</svg>\n`
  );
}

/** Early layers blue, late ones red. */
function colourOf(index: number, count: number): string {
  const hue = count < 2 ? 220 : 220 - Math.round((220 * index) / (count - 1));
  return `hsl(${hue} 70% 42%)`;
}

function legendOf({ layers }: Sweep): string {
  const step = Math.min(64, Math.floor((WIDTH - 20) / layers.length));
  const items = layers.map((layer, i) => {
    const x = 20 + i * step;
    return `<rect x="${x}" y="36" width="10" height="10" fill="${colourOf(i, layers.length)}"/><text x="${x + 14}" y="45">${layer}</text>`;
  });
  return `<g><title>layers</title>${items.join("")}</g>\n`;
}

function panel({ cells, layers, strengths }: Sweep, { title, of }: Measure): string {
  const values = cells.map(of).filter((value) => value !== null);
  const [low, high] = extent(values);
  const [from, to] = extent(strengths);
  const x = (strength: number): number => LEFT + ((strength - from) / (to - from)) * (WIDTH - LEFT - RIGHT);
  const y = (value: number): number => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const parts = [
    `<text x="${LEFT}" y="20" font-weight="600">${escaped(title)}</text>`,
    ...ticks(low, high).map((tick) => {
      const at = y(tick).toFixed(1);
      const line = `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" stroke="${GRID}"/>`;
      return `${line}<text x="${LEFT - 6}" y="${at}" dy="0.35em" text-anchor="end">${short(tick)}</text>`;
    }),
    ...ticks(from, to).map((tick) => {
      const at = x(tick).toFixed(1);
      return `<text x="${at}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${short(tick)}</text>`;
    }),
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 10}" text-anchor="middle">strength</text>`,
  ];
  layers.forEach((layer, i) => {
    const points = cells
      .filter((cell) => cell.layer === layer)
      .map((cell) => ({ strength: cell.strength, value: of(cell) }))
      .filter((point): point is { strength: number; value: number } => point.value !== null)
      .sort((a, b) => a.strength - b.strength);
    const colour = colourOf(i, layers.length);
    const path = points.map(({ strength, value }) => `${x(strength).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    parts.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>`);
    const place = layer === null ? "" : `layer ${layer}, `;
    for (const { strength, value } of points) {
      parts.push(
        `<circle cx="${x(strength).toFixed(1)}" cy="${y(value).toFixed(1)}" r="3" fill="${colour}">` +
          `<title>${place}strength ${strength}: ${value}</title></circle>`,
      );
    }
  });
  return parts.join("");
}

/** The least and the greatest, never equal. */
function extent(values: readonly number[]): readonly [low: number, high: number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low < high ? [low, high] : [low - 0.5, high + 0.5];
}

/** Round numbers within an interval. */
function ticks(low: number, high: number): readonly number[] {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

function short(value: number): string {
  return String(Number(value.toPrecision(4))).replace("-", "−");
}

function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}
