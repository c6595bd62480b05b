/** Small line plots as SVG: points and a line through them, axes with a few numbers, nothing else. */

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Drawn dashed and without dots, as the expectation. */
  readonly expected?: boolean;
}

export interface Panel {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
}

const WIDTH = 360;
const HEIGHT = 270;
const MARGIN = { left: 52, right: 14, top: 34, bottom: 44 };
const COLOURS = ["#1f6feb", "#c2410c", "#15803d"];

/** Panels side by side; both axes start at 0. */
export function plot(panels: readonly Panel[]): string {
  const body = panels.map((panel, i) => `<g transform="translate(${i * WIDTH} 0)">${draw(panel)}</g>`).join("\n");
  const size = `width="${panels.length * WIDTH}" height="${HEIGHT}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="11" fill="#444">
<title>${escaped(panels.map(({ title }) => title).join(", "))}</title>
<rect width="100%" height="100%" fill="white"/>
${body}
</svg>
`;
}

function draw({ title, x, y, series }: Panel): string {
  const all = series.flatMap(({ points }) => points);
  const xs = ticks(Math.max(...all.map(([at]) => at)));
  const ys = ticks(Math.max(...all.map(([, at]) => at)));
  const right = WIDTH - MARGIN.right;
  const bottom = HEIGHT - MARGIN.bottom;
  const px = (value: number) => MARGIN.left + (value / (xs.at(-1) ?? 1)) * (right - MARGIN.left);
  const py = (value: number) => bottom - (value / (ys.at(-1) ?? 1)) * (bottom - MARGIN.top);
  const lines = series.map(({ points, expected, name }, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const path = points.map(([a, b]) => `${px(a).toFixed(1)},${py(b).toFixed(1)}`).join(" ");
    const dash = expected ? ` stroke-dasharray="5 4"` : "";
    const dots = expected
      ? ""
      : points
          .map(([a, b]) => `<circle cx="${px(a).toFixed(1)}" cy="${py(b).toFixed(1)}" r="2.5" fill="${colour}"/>`)
          .join("");
    const label = `<text x="${MARGIN.left + 8}" y="${MARGIN.top + 12 + 14 * i}" fill="${colour}">${escaped(name)}</text>`;
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"${dash}/>${dots}${label}`;
  });
  return [
    `<text x="${MARGIN.left}" y="18" font-size="13" fill="#111">${escaped(title)}</text>`,
    ...ys.map((value) => {
      const at = py(value).toFixed(1);
      return `<line x1="${MARGIN.left}" x2="${right}" y1="${at}" y2="${at}" stroke="#e5e5e5"/><text x="${MARGIN.left - 5}" y="${at}" dy="4" text-anchor="end">${value}</text>`;
    }),
    ...xs.map((value) => `<text x="${px(value).toFixed(1)}" y="${bottom + 15}" text-anchor="middle">${value}</text>`),
    `<text x="${(MARGIN.left + right) / 2}" y="${bottom + 34}" text-anchor="middle">${escaped(x)}</text>`,
    `<text transform="translate(12 ${(MARGIN.top + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(y)}</text>`,
    ...lines,
  ].join("\n");
}

/** From 0 to at least `most` in four or five even steps. */
function ticks(most: number): readonly number[] {
  const rough = Math.max(most, 1e-9) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
