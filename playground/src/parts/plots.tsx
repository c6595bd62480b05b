/** Small plots, drawn as SVG with their numbers as text for those who do not see them. */

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Drawn as striking. */
  readonly strong?: boolean;
}

interface BarsProps {
  readonly title: string;
  readonly bars: readonly Bar[];
  /** Under the bars. */
  readonly axis: string;
  readonly format: (value: number) => string;
}

const WIDTH = 420;
const HEIGHT = 150;

export function Bars({ title, bars, axis, format }: BarsProps) {
  const most = Math.max(...bars.map(({ value }) => value), 1e-12);
  const step = WIDTH / bars.length;
  const every = Math.ceil(bars.length / 12);
  return (
    <figure class="plot">
      <figcaption>{title}</figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT + 34}`}
        role="img"
        aria-label={`${title}: ${bars.map(({ label, value }) => `${label}: ${format(value)}`).join(", ")}`}
      >
        <line x1="0" x2={WIDTH} y1={HEIGHT} y2={HEIGHT} class="axis" />
        {bars.map(({ label, value, strong }, i) => {
          const height = (value / most) * (HEIGHT - 18);
          return (
            <g key={label}>
              <rect
                x={i * step + 1}
                y={HEIGHT - height}
                width={Math.max(1, step - 2)}
                height={height}
                class={strong ? "strong" : ""}
              >
                <title>
                  {label}: {format(value)}
                </title>
              </rect>
              {i % every === 0 && (
                <text x={i * step + step / 2} y={HEIGHT + 14} text-anchor="middle">
                  {label}
                </text>
              )}
            </g>
          );
        })}
        <text x={WIDTH / 2} y={HEIGHT + 30} text-anchor="middle">
          {axis}
        </text>
        <text x="0" y="10">
          {format(most)}
        </text>
      </svg>
    </figure>
  );
}
