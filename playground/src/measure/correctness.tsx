/** Every kernel family on this device, against float64 on the CPU. */
import { FiguresRow, FiguresTable } from "../parts/figures.tsx";
import { Scroller } from "../parts/scroller.tsx";
import type { PageReport } from "./report.ts";

export function Correctness({ report: { checks } }: { readonly report: PageReport }) {
  if (!checks) return null;
  const { passed, failed, kernels, results } = checks;
  // The worst first.
  const sorted = [...results].sort((a, b) => b.error / b.tolerance - a.error / a.tolerance);
  return (
    <section class="card stack" aria-label="Correctness">
      <h2>
        {failed === 0
          ? `✓ All ${passed} comparisons with the CPU agree`
          : `✗ ${failed} of ${passed + failed} comparisons with the CPU differ`}
      </h2>
      <p class="soft small">
        {Object.keys(kernels).length} kernels took part, in both families, on small models against plain loops in
        float64.
      </p>
      <details open={failed > 0}>
        <summary>Comparisons, the largest error first</summary>
        <Scroller label="Comparisons">
          <FiguresTable
            caption="Comparisons"
            words={["Model and part", "Family, plan, weights", "At"]}
            figures={["Error", "Allowed"]}
          >
            {sorted.map(
              ({ model, part, family, plan, weights, variant, error, tolerance, at, passed: right, failure }, i) => (
                <FiguresRow
                  key={i}
                  name={`${right ? "✓" : "✗"} ${model}, ${part}`}
                  words={[
                    `${family}, ${plan}, ${weights}${variant === null ? "" : `, kernel ${variant}`}`,
                    failure ?? at ?? "",
                  ]}
                  figures={[error.toExponential(1), tolerance.toExponential(1)]}
                />
              ),
            )}
          </FiguresTable>
        </Scroller>
      </details>
    </section>
  );
}
