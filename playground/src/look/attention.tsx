/** Where every head looks: small pictures of a layer's heads, and one of them large. */
import { useSignal } from "@preact/signals";
import { HeatGrid } from "../parts/heat-grid.tsx";
import { head, layer, type Seen } from "./state.ts";

export function Attention({ seen: { tokens, attention } }: { readonly seen: Seen }) {
  const cell = useSignal<{ readonly row: number; readonly column: number } | null>(null);
  const shown = attention[layer.value];
  if (!shown) return null;
  const T = tokens.length;
  const at = (h: number, row: number, column: number) => shown.data[(h * T + row) * T + column] ?? 0;
  const chosen = head.value ?? 0;
  const point = cell.value;
  return (
    <section class="card stack" aria-label="Attention">
      <div class="row spread">
        <h2>Attention</h2>
        <label class="row">
          <span class="label">Layer</span>
          <select
            style={{ width: "auto" }}
            value={layer.value}
            onChange={({ currentTarget }) => {
              layer.value = Number(currentTarget.value);
            }}
          >
            {attention.map((_, i) => (
              <option key={i} value={i}>
                {i}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="attention">
        <div class="heads">
          {Array.from({ length: shown.heads }, (_, h) => (
            <button
              key={h}
              type="button"
              class="head"
              aria-pressed={h === chosen}
              aria-label={`Head ${h}`}
              onClick={() => {
                head.value = h;
              }}
            >
              <HeatGrid
                label={`Attention of head ${h}`}
                rows={T}
                columns={T}
                of={shown}
                value={(row, column) => at(h, row, column)}
              />
              <span>head {h}</span>
            </button>
          ))}
        </div>
        <div class="stack">
          <HeatGrid
            label={`Attention of layer ${layer.value}, head ${chosen}: a row per token that looks, a column per token that is looked at`}
            rows={T}
            columns={T}
            of={`${layer.value} ${chosen} ${tokens.join()}`}
            value={(row, column) => at(chosen, row, column)}
            onPoint={(next) => {
              cell.value = next;
            }}
          />
          <p class="small number">
            {point ? (
              <>
                <strong>{tokens[point.row]}</strong> looks at <strong>{tokens[point.column]}</strong>:{" "}
                {(at(chosen, point.row, point.column) * 100).toFixed(1)} %
              </>
            ) : (
              <span class="soft">Point at a cell to read it. Rows look, columns are looked at.</span>
            )}
          </p>
          <Strongest tokens={tokens} value={(row, column) => at(chosen, row, column)} />
        </div>
      </div>
    </section>
  );
}

interface StrongestProps {
  readonly tokens: readonly string[];
  readonly value: (row: number, column: number) => number;
}

/** The same picture in words: what every token looks at most. */
function Strongest({ tokens, value }: StrongestProps) {
  return (
    <details>
      <summary>What each token looks at most</summary>
      <table>
        <tbody>
          {tokens.map((token, row) => {
            const column = tokens.reduce((best, _, i) => (value(row, i) > value(row, best) ? i : best), 0);
            return (
              <tr key={row}>
                <th scope="row">{token}</th>
                <td>{tokens[column]}</td>
                <td class="right">{(value(row, column) * 100).toFixed(0)} %</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </details>
  );
}
