/** Layers by tokens: the most likely next token after every layer, shaded by how sure the model is. */
import { useSignal } from "@preact/signals";
import type { Lens, LensCell } from "sluice";
import { Scroller } from "../parts/scroller.tsx";

interface Props {
  readonly lens: Lens;
  readonly tokens: readonly string[];
}

export function LensTable({ lens: { layers }, tokens }: Props) {
  const chosen = useSignal<{ readonly layer: number; readonly token: number } | null>(null);
  const at = chosen.value;
  const cell = at && layers[at.layer]?.cells[at.token];
  return (
    <section class="card stack" aria-label="Logit lens">
      <h2>Logit lens</h2>
      <p class="soft small">
        The final norm and head on the stream after every layer: what the model would say next if it stopped there, and
        how sure it would be, in per cent. The darker, the surer.
      </p>
      <Scroller label="Logit lens, scrolls">
        <table class="lens">
          <thead>
            <tr>
              <th scope="col">After</th>
              {tokens.map((token, i) => (
                <th key={i} scope="col">
                  {shown(token)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {layers.map(({ site, cells }, layer) => (
              <tr key={site}>
                <th scope="row">{site === "embed" ? "embed" : `layer ${site.replace("resid_post.", "")}`}</th>
                {cells.map((each, token) => (
                  <td key={token} style={{ "--heat-share": `${Math.round((each.top[0]?.probability ?? 0) * 70)}%` }}>
                    <button
                      type="button"
                      class="lens-cell"
                      aria-pressed={at?.layer === layer && at.token === token}
                      onClick={() => {
                        chosen.value = { layer, token };
                      }}
                    >
                      {shown(textOf(each))}
                      <small>{Math.round((each.top[0]?.probability ?? 0) * 100)}</small>
                    </button>
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroller>
      {at && cell && <CellDetail cell={cell} site={layers[at.layer]?.site ?? ""} token={tokens[at.token] ?? ""} />}
    </section>
  );
}

function CellDetail({ cell, site, token }: { readonly cell: LensCell; readonly site: string; readonly token: string }) {
  const { top, next, kl_nats, entropy_nats } = cell;
  return (
    <p class="small number" role="status">
      After <strong>{shown(token)}</strong>, at {site}:{" "}
      {top
        .map(({ text, token: id, probability }) => `${shown(text ?? String(id))} ${(probability * 100).toFixed(1)} %`)
        .join(", ")}
      . {next && `The token that follows has rank ${next.rank.toLocaleString("en")}. `}
      <span class="soft">
        {kl_nats.toFixed(2)} nats from the model's own prediction; entropy {entropy_nats.toFixed(2)} nats.
      </span>
    </p>
  );
}

function textOf({ top }: LensCell): string {
  const [first] = top;
  return first?.text ?? String(first?.token ?? "");
}

function shown(text: string): string {
  return text.replace(/\n/g, "⏎") || "·";
}
