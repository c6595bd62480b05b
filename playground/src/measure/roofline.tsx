/** The roofline (Williams et al. 2009): every kernel under the device's ceilings, on logarithmic axes. */
import type { Profile, ProfileRow } from "sluice";
import { FiguresRow, FiguresTable } from "../parts/figures.tsx";
import { Scroller } from "../parts/scroller.tsx";

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [640, 300, 56, 36] as const;

export function Roofline({ profile }: { readonly profile: Profile }) {
  const { ceilings, by_kernel } = profile;
  const rows = by_kernel.filter(({ gflop_per_s, flops, bytes }) => (gflop_per_s ?? 0) > 0 && flops > 0 && bytes > 0);
  if (rows.length === 0) return null;
  const top = Math.max(ceilings.fma_gflop_per_s, ceilings.gemm_gflop_per_s);
  const intensities = rows.map(({ flops, bytes }) => flops / bytes);
  const knee = top / ceilings.read_gb_per_s;
  const [x0, x1] = [Math.min(...intensities, knee) / 3, Math.max(...intensities, knee) * 4];
  const [y0, y1] = [Math.min(...rows.map((row) => row.gflop_per_s as number)) / 3, top * 2];
  const x = (value: number) => LEFT + (Math.log(value / x0) / Math.log(x1 / x0)) * (WIDTH - LEFT - 8);
  const y = (value: number) => 8 + (1 - Math.log(value / y0) / Math.log(y1 / y0)) * (HEIGHT - BOTTOM - 8);
  const roof = `M${x(x0)} ${y(x0 * ceilings.read_gb_per_s)}L${x(knee)} ${y(top)}L${x(x1)} ${y(top)}`;
  return (
    <section class="card stack" aria-label="Roofline">
      <h2>Roofline</h2>
      <figure class="plot wide">
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          role="img"
          aria-label={`Roofline of ${rows.length} kernels; the table below has its numbers`}
        >
          <path d={roof} class="roof" />
          {powers(x0, x1).map((value) => (
            <text key={value} x={x(value)} y={HEIGHT - 20} text-anchor="middle">
              {value}
            </text>
          ))}
          {powers(y0, y1).map((value) => (
            <g key={value}>
              <line x1={LEFT} x2={WIDTH - 8} y1={y(value)} y2={y(value)} class="grid" />
              <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">
                {value}
              </text>
            </g>
          ))}
          {rows.map((row) => (
            <Point
              key={`${row.phase} ${row.name}`}
              row={row}
              x={x(row.flops / row.bytes)}
              y={y(row.gflop_per_s as number)}
            />
          ))}
          <text x={(WIDTH + LEFT) / 2} y={HEIGHT - 4} text-anchor="middle">
            operations per byte
          </text>
          <text x={LEFT} y="16">
            Gflop/s
          </text>
        </svg>
      </figure>
      <p class="soft small">
        Circles: prefill; squares: decode; the larger, the more of the time. Timed by {profile.clock}.
      </p>
      <details>
        <summary>Kernels</summary>
        <Scroller label="Kernels">
          <FiguresTable
            caption="Kernels"
            words={["Kernel", "Phase"]}
            figures={["Share", "GB/s", "Gflop/s", "Of roofline"]}
          >
            {by_kernel.map(({ name, phase, share, gb_per_s, gflop_per_s, share_of_roofline }) => (
              <FiguresRow
                key={`${phase} ${name}`}
                name={name}
                words={[phase]}
                figures={[
                  percent(share),
                  gb_per_s?.toPrecision(3) ?? "–",
                  gflop_per_s?.toPrecision(3) ?? "–",
                  percent(share_of_roofline),
                ]}
              />
            ))}
          </FiguresTable>
        </Scroller>
      </details>
    </section>
  );
}

function Point({ row, x, y }: { readonly row: ProfileRow; readonly x: number; readonly y: number }) {
  const size = 3 + 12 * Math.sqrt(row.share ?? 0);
  const title = `${row.name} (${row.phase}): ${row.gflop_per_s?.toPrecision(3)} Gflop/s, ${percent(row.share)} of the time`;
  return row.phase === "prefill" ? (
    <circle cx={x} cy={y} r={size} class="prefill">
      <title>{title}</title>
    </circle>
  ) : (
    <rect x={x - size} y={y - size} width={2 * size} height={2 * size} class="decode">
      <title>{title}</title>
    </rect>
  );
}

/** Powers of ten within bounds. */
function powers(from: number, to: number): number[] {
  const first = Math.ceil(Math.log10(from));
  const count = Math.floor(Math.log10(to)) - first + 1;
  return Array.from({ length: Math.max(0, count) }, (_, i) => Number((10 ** (first + i)).toPrecision(1)));
}

function percent(value: number | null): string {
  return value === null ? "–" : `${(value * 100).toFixed(1)} %`;
}
