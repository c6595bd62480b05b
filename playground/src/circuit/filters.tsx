/** Which edges are drawn. */
import { NumberField, Switch } from "../parts/controls.tsx";
import { attribution, filter, graph, shownEdges } from "./state.ts";
import type { Filter } from "./view.ts";

export function CircuitFilters() {
  const shown = graph.value;
  if (!shown) return null;
  const { most, fromLayer, toLayer, text, onlyCut } = filter.value;
  const set = (change: Partial<Filter>) => {
    filter.value = { ...filter.value, ...change };
  };
  const last = shown.layers - 1;
  return (
    <div class="row end filters">
      <label class="field" style={{ flex: "2 1 12rem" }}>
        <span>Find edges</span>
        <input
          type="search"
          placeholder="such as embed → or 2.mlp"
          value={text}
          onInput={({ currentTarget }) => set({ text: currentTarget.value })}
        />
      </label>
      <NumberField
        label="From layer"
        value={fromLayer}
        least={0}
        most={last}
        step={1}
        onChange={(value) => set({ fromLayer: value })}
      />
      <NumberField
        label="To layer"
        value={Math.min(toLayer, last)}
        least={0}
        most={last}
        step={1}
        onChange={(value) => set({ toLayer: value })}
      />
      <NumberField
        label={attribution.value ? "Largest edges" : "Edges shown"}
        value={most ?? shown.edges.length}
        least={1}
        most={shown.edges.length}
        step={1}
        onChange={(value) => set({ most: value >= shown.edges.length ? null : value })}
      />
      <Switch label="Cut only" checked={onlyCut} onChange={(checked) => set({ onlyCut: checked })} />
      <span class="soft small number">{shownEdges.value.length.toLocaleString("en")} shown</span>
    </div>
  );
}
