/** What a fit found: plots, effect and cost, and what to do with it. */
import { useEffect, useMemo } from "preact/hooks";
import type { AuraFit, EdgeFit } from "sluice";
import { Figure, FiguresRow, FiguresTable } from "../parts/figures.tsx";
import { Bars } from "../parts/plots.tsx";
import { addBundle } from "../state/bundles.ts";
import { room } from "../state/room.ts";
import { type Fitted, type Judged, judged, methods } from "./state.ts";
import { aurocHistogram, directionNorms } from "./tensors.ts";

export function Findings({ fitted }: { readonly fitted: Fitted }) {
  const { method, bundle, bytes, found, seconds } = fitted;
  const address = useMemo(() => URL.createObjectURL(new Blob([bytes as BlobPart])), [bytes]);
  useEffect(() => () => URL.revokeObjectURL(address), [address]);
  const name = `${method}.safetensors`;
  return (
    <section class="card stack" aria-label="What was found">
      <div class="row spread">
        <h2>What was found</h2>
        <span class="soft small number">
          {methods[method].split(":")[0]}, {seconds.toFixed(1)} s
        </span>
      </div>
      {found.kind === "aura" && <AuraFindings fit={found.fit} />}
      {found.kind === "edges" && <EdgeFindings fit={found.fit} />}
      {found.kind === "direction" && (
        <Bars
          title="Length of the direction, by layer"
          axis="layer"
          format={(value) => value.toFixed(2)}
          bars={directionNorms(bundle).map(({ layer, norm }) => ({ label: String(layer), value: norm, strong: true }))}
        />
      )}
      {judged.value ? <Verdict judged={judged.value} /> : <p class="soft small">Measuring effect and cost …</p>}
      <div class="row">
        <button
          type="button"
          class="button primary"
          onClick={() => {
            void addBundle(bytes, name, { kind: "file" }).then(() => {
              room.value = "Steer";
            });
          }}
        >
          Use it
        </button>
        <a class="button" href={address} download={name}>
          Download bundle
        </a>
      </div>
    </section>
  );
}

function AuraFindings({
  fit: { strongest, neurons, beyondChance, expectedByChance, bundle },
}: {
  readonly fit: AuraFit;
}) {
  return (
    <div class="sides">
      <div class="stack">
        <Bars
          title="Neurons by how well they tell the lists apart"
          axis="AUROC; 0.5 is chance"
          format={(value) => String(Math.round(value))}
          bars={aurocHistogram(bundle).map(({ from, count }) => ({
            label: from.toFixed(2),
            value: count,
            strong: from >= 0.5,
          }))}
        />
        <p class="soft small">
          {beyondChance} of {neurons.toLocaleString("en")} neurons are beyond three deviations of chance, which alone
          would put {expectedByChance.toFixed(1)} there.
        </p>
      </div>
      <FiguresTable caption="Strongest neurons" words={["Strongest neurons"]} figures={["AUROC", "Factor"]}>
        {strongest.slice(0, 10).map(({ site, layer, neuron, auroc, scale }) => (
          <FiguresRow
            key={`${site}.${layer}.${neuron}`}
            name={`${site}.${layer} ${neuron}`}
            figures={[auroc.toFixed(3), scale.toFixed(3)]}
          />
        ))}
      </FiguresTable>
    </div>
  );
}

function EdgeFindings({ fit: { summary, edges, before, after } }: { readonly fit: EdgeFit }) {
  return (
    <div class="stack">
      <p>{summary}</p>
      <FiguresTable caption="Edges that were cut" words={["Edge"]} figures={["Loss on positive, alone", "on negative"]}>
        {edges.map(({ source, destination, alone }) => (
          <FiguresRow
            key={`${source}>${destination}`}
            name={`${source} → ${destination}`}
            figures={[signed(alone.bad - before.bad), signed(alone.good - before.good)]}
          />
        ))}
        <FiguresRow name="all together" figures={[signed(after.bad - before.bad), signed(after.good - before.good)]} />
      </FiguresTable>
    </div>
  );
}

function Verdict({ judged: { effect, cost, heldOut } }: { readonly judged: Judged }) {
  return (
    <>
      <dl class="figures">
        {effect && (
          <Figure
            name="Effect on positive sentences"
            value={effect.kl_nats.value.toFixed(3)}
            unit={`nats per token ${interval(effect.kl_nats)}`}
          />
        )}
        {cost && (
          <>
            <Figure
              name="Cost on negative sentences"
              value={cost.kl_nats.value.toFixed(3)}
              unit={`nats per token ${interval(cost.kl_nats)}`}
            />
            <Figure
              name="Perplexity of these"
              value={`× ${cost.perplexity.ratio.value.toFixed(3)}`}
              unit={interval(cost.perplexity.ratio)}
            />
          </>
        )}
      </dl>
      <p class="soft small">
        {heldOut
          ? "On every fifth sentence, which the fit has not seen; 95 % intervals by resampling sentences."
          : "On the sentences of the fit: with ten or more per list, every fifth is held out."}
      </p>
    </>
  );
}

function interval({ low, high }: { readonly low: number | null; readonly high: number | null }): string {
  return low === null || high === null ? "" : `(${low.toFixed(3)} to ${high.toFixed(3)})`;
}

function signed(value: number): string {
  return `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(3)}`;
}
