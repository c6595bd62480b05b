/** The room Circuit: the edges between blocks, to be cut while the model works. */
import { untracked, useSignalEffect } from "@preact/signals";
import { NeedsModel } from "../parts/needs-model.tsx";
import { settings } from "../state/bundles.ts";
import { chosen, model, speaks } from "../state/model.ts";
import { CircuitCanvas } from "./canvas.tsx";
import { ContinuationCard } from "./continuation-card.tsx";
import { CircuitFilters } from "./filters.tsx";
import { SortingBoard } from "./sorting-board.tsx";
import { cut, cutEdges, followPage, graph, restoreAll } from "./state.ts";
import { UseCircuit } from "./use-circuit.tsx";

export function Circuit() {
  useSignalEffect(() => {
    model.value;
    settings.value;
    untracked(followPage);
  });
  if (!model.value || !graph.value) {
    return (
      <NeedsModel
        suggests="gpt-nano-sort"
        says="Every block of a model reads what earlier blocks wrote. Here each of these edges can be seen and cut, while the model works."
      />
    );
  }
  const isSorting = chosen.value?.id === "gpt-nano-sort";
  return (
    <div class="stack">
      <section class="card stack" aria-label="Edges">
        <div class="row spread">
          <h2>
            <span role="status">
              {cut.value.size} of {graph.value.edges.length} edges cut
            </span>
          </h2>
          <div class="row">
            <button type="button" class="button small" disabled={cut.value.size === 0} onClick={restoreAll}>
              Restore all
            </button>
            <UseCircuit isSorting={isSorting} />
          </div>
        </div>
        <CircuitCanvas />
        <CircuitFilters />
        {cutEdges.value.length > 0 && (
          <details>
            <summary>Cut edges</summary>
            <p class="edge-names">{cutEdges.value.map(({ name }) => name).join("\n")}</p>
          </details>
        )}
      </section>
      {isSorting ? <SortingBoard /> : speaks.value ? <ContinuationCard /> : null}
    </div>
  );
}
