/** What the circuit can still sort. */
import { untracked, useSignalEffect } from "@preact/signals";
import { FailureNotice } from "../parts/notice.tsx";
import { failureOf } from "../state/failure.ts";
import { model } from "../state/model.ts";
import { gradientOf } from "./continuation.ts";
import { inputs, isRight, isSorting, sortAll, sorted, sortFailure, sortingMeans } from "./sorting.ts";
import { attribution, cut, graph } from "./state.ts";

/** Spread over all inputs, so that several kinds are shown. */
const SHOWN = Array.from({ length: 18 }, (_, i) => (i * 41 + 5) % inputs.length);

export function SortingBoard() {
  useSignalEffect(() => {
    cut.value;
    if (model.value) untracked(() => void sortAll());
  });
  const result = sorted.value;
  const done = result?.outputs.length ?? 0;
  return (
    <section class="card stack" aria-label="Sorting">
      <div class="row spread">
        <h2>
          {result ? (
            <output>
              {result.right} of {done} inputs sorted
            </output>
          ) : (
            "Sorting all 729 inputs …"
          )}
        </h2>
        <span class="soft small">
          {isSorting.value ? `Sorting: ${done} of 729` : "All 729 lists of six letters A, B, C"}
        </span>
        <button type="button" class="button small" disabled={isSorting.value} onClick={() => void attribute()}>
          What is each edge worth?
        </button>
      </div>
      <div class="meter" aria-hidden="true">
        <i style={{ "--share": String((result?.right ?? 0) / inputs.length) }} />
      </div>
      {sortFailure.value && <FailureNotice failure={sortFailure.value} />}
      <ul class="sorting">
        {SHOWN.map((input) => {
          const output = result?.outputs[input];
          const right = output && isRight(input, output);
          return (
            <li key={input} class={output ? (right ? "right" : "wrong") : undefined}>
              <span>{letters(inputs[input] ?? [])}</span> → <span>{output ? letters(output) : "……"}</span>
              {output && (
                <b>
                  <span aria-hidden="true">{right ? "✓" : "✗"}</span>
                  <span class="unseen">{right ? "right" : "wrong"}</span>
                </b>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** The gradient over every seventh input, with the answers but the last letter, as in docs/study-sort.md. */
async function attribute(): Promise<void> {
  const shown = graph.value;
  if (!shown) return;
  const texts = inputs.filter((_, i) => i % 7 === 0).map((list) => [...list, ...[...list].sort()].slice(0, 11));
  try {
    attribution.value = await gradientOf(shown, texts, await sortingMeans(), 6);
  } catch (error) {
    sortFailure.value = failureOf(error);
  }
}

function letters(ids: readonly number[]): string {
  return ids.map((id) => "ABC"[id] ?? "?").join("");
}
