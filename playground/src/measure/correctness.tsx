/** Every kernel family on this device, against float64 on the CPU. */
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
          <table>
            <thead>
              <tr>
                <th scope="col">Model and part</th>
                <th scope="col">Family, plan, weights</th>
                <th scope="col" class="right">
                  Error
                </th>
                <th scope="col" class="right">
                  Allowed
                </th>
                <th scope="col">At</th>
              </tr>
            </thead>
            <tbody>
              {sorted.map(
                ({ model, part, family, plan, weights, variant, error, tolerance, at, passed: right, failure }, i) => (
                  <tr key={i}>
                    <th scope="row">
                      {right ? "✓" : "✗"} {model}, {part}
                    </th>
                    <td>
                      {family}, {plan}, {weights}
                      {variant !== null && `, kernel ${variant}`}
                    </td>
                    <td class="right">{error.toExponential(1)}</td>
                    <td class="right">{tolerance.toExponential(1)}</td>
                    <td>{failure ?? at}</td>
                  </tr>
                ),
              )}
            </tbody>
          </table>
        </Scroller>
      </details>
    </section>
  );
}
