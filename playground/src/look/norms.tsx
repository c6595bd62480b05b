/** How long the vectors at a site are, layer by layer and token by token. */
import { useSignal } from "@preact/signals";
import { Scroller } from "../parts/scroller.tsx";
import { normSites, type Seen } from "./state.ts";

const names: Readonly<Record<(typeof normSites)[number], string>> = {
  resid_post: "the stream after each layer",
  attn_out: "what attention writes",
  mlp_out: "what the MLP writes",
};

export function Norms({ seen: { tokens, norms } }: { readonly seen: Seen }) {
  const site = useSignal<(typeof normSites)[number]>("resid_post");
  const rows = norms.get(site.value) ?? [];
  const most = Math.max(...rows.flat(), 1e-9);
  return (
    <section class="card stack" aria-label="Site norms">
      <div class="row spread">
        <h2>Site norms</h2>
        <label class="row">
          <span class="label">Site</span>
          <select
            style={{ width: "auto" }}
            value={site.value}
            onChange={({ currentTarget }) => {
              site.value = currentTarget.value as (typeof normSites)[number];
            }}
          >
            {normSites.map((name) => (
              <option key={name} value={name}>
                {name}: {names[name]}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Scroller label="Site norms, scrolls">
        <table class="lens">
          <thead>
            <tr>
              <th scope="col">Layer</th>
              {tokens.map((token, i) => (
                <th key={i} scope="col">
                  {token.replace(/\n/g, "⏎") || "·"}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((values, layer) => (
              <tr key={layer}>
                <th scope="row">{layer}</th>
                {values.map((value, i) => (
                  <td key={i} style={{ "--heat-share": `${Math.round((value / most) * 60)}%` }}>
                    {value >= 100 ? value.toFixed(0) : value.toPrecision(3)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroller>
    </section>
  );
}
