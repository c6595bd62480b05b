/** What the edit costs: perplexity and KL of a text that it should leave alone. */
import { signal } from "@preact/signals";
import { Figure } from "../parts/figures.tsx";
import { FailureNotice } from "../parts/notice.tsx";
import { bundleInputs, changeOf, composeSettings, hasStages, settings } from "../state/bundles.ts";
import { type Failure, failureOf } from "../state/failure.ts";
import { model, speaks } from "../state/model.ts";
import { meanKl } from "./records.ts";
import { isBusy } from "./run-state.ts";
import { latest } from "./shown.ts";

interface Cost {
  readonly plain: number;
  readonly edited: number;
  readonly kl: number;
  readonly tokens: number;
}

const text = signal(
  "One day, a little girl named Lily found a needle in her room. She knew it was difficult to play with it because it was sharp. Lily wanted to share the needle with her mom, so she could sew a button on her shirt.",
);
const cost = signal<Cost | null>(null);
const failure = signal<Failure | null>(null);
const isMeasuring = signal(false);

export function CostCard() {
  if (!model.value || !speaks.value || !hasStages.value) return null;
  const effect = meanKl(latest.value.edited.records);
  return (
    <section class="card stack after" aria-label="Effect and cost">
      <h2>Effect and cost</h2>
      <label class="field">
        <span>Text that the edit should leave alone</span>
        <textarea
          rows={3}
          value={text.value}
          onInput={({ currentTarget }) => {
            text.value = currentTarget.value;
            cost.value = null;
          }}
        />
      </label>
      <div class="row">
        <button
          type="button"
          class="button"
          disabled={isMeasuring.value || isBusy.value}
          onClick={() => void measure()}
        >
          Measure cost
        </button>
        {isMeasuring.value && <span class="soft small">Measuring …</span>}
      </div>
      {failure.value && <FailureNotice failure={failure.value} />}
      <dl class="figures">
        {effect !== null && (
          <Figure
            name="Effect on the edited text"
            value={effect.toFixed(3)}
            unit="nats per token, KL(plain ‖ edited)"
          />
        )}
        {cost.value && <Figures cost={cost.value} />}
      </dl>
    </section>
  );
}

function Figures({ cost: { plain, edited, kl, tokens } }: { readonly cost: Cost }) {
  return (
    <>
      <Figure
        name="Perplexity"
        value={`× ${(edited / plain).toFixed(3)}`}
        unit={`${plain.toFixed(2)} plain, ${edited.toFixed(2)} edited, ${tokens} tokens`}
      />
      <Figure name="Cost on this text" value={kl.toFixed(3)} unit="nats per token, KL(plain ‖ edited)" />
    </>
  );
}

async function measure(): Promise<void> {
  const opened = model.value;
  if (!opened) return;
  isMeasuring.value = true;
  failure.value = null;
  try {
    const ids = await opened.encode(text.value);
    const edited = await opened.with(bundleInputs(), composeSettings());
    const changes = new Map(settings.value.map((stage) => [stage.id, changeOf(stage)]));
    const { perplexity, kl_nats } = await edited.compareTokens(ids, { top: 1, changes });
    if (perplexity.plain === null || perplexity.edited === null) throw new Error("The text has no token to predict");
    cost.value = { plain: perplexity.plain, edited: perplexity.edited, kl: kl_nats, tokens: ids.length };
    edited.dispose();
  } catch (error) {
    failure.value = failureOf(error);
  } finally {
    isMeasuring.value = false;
  }
}
