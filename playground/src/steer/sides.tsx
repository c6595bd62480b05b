/** Plain and edited, side by side, token by token. */
import { signal } from "@preact/signals";
import { Switch } from "../parts/controls.tsx";
import { hasStages } from "../state/bundles.ts";
import { meanKl } from "./records.ts";
import { shownPrompt, sides } from "./run.ts";
import { analysing, changedAt, isBusy, runState, type Side, type SideName, tokensPerSecond } from "./run-state.ts";
import { Tokens } from "./tokens.tsx";

export const showsHeat = signal(true);

export function Sides() {
  const { plain, edited } = sides.value;
  return (
    <>
      <div class="sides">
        <SideCard name="plain" title="Plain" side={plain} />
        <SideCard name="edited" title="Edited" side={edited} />
      </div>
      <HeatKey isCompared={edited.records?.some(({ kl }) => kl !== null) ?? false} />
    </>
  );
}

/** What the colours of tokens mean. */
export function HeatKey({ isCompared }: { readonly isCompared: boolean }) {
  if (!isCompared && !analysing.value) return null;
  return (
    <div class="row spread">
      <span class="heat-key">
        {analysing.value ? (
          "Comparing token by token …"
        ) : (
          <>
            How far the edit moves the prediction:
            {[0, 1, 2, 3, 4].map((heat) => (
              <span key={heat} class="token" data-heat={heat}>
                {["none", "0.1", "0.5", "1", "2 nats"][heat]}
              </span>
            ))}
          </>
        )}
      </span>
      <Switch
        label="Show change"
        checked={showsHeat.value}
        onChange={(checked) => {
          showsHeat.value = checked;
        }}
      />
    </div>
  );
}

interface Props {
  readonly name: SideName;
  readonly title: string;
  readonly side: Side;
}

function SideCard({ name, title, side }: Props) {
  const { tokens } = side;
  return (
    <section class={`card side ${name}`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        <span class="chip">{runState.value === "recorded" ? "recorded" : note(name)}</span>
      </header>
      <div class={`said${isBusy.value ? " cursor" : ""}`}>
        {tokens.length > 0 || isBusy.value ? (
          <>
            <span class="given">{shownPrompt.value}</span>
            <Tokens name={name} side={side} />
          </>
        ) : (
          <span class="soft">
            {name === "plain" ? "What the model says by itself." : "What it says with the bundle."}
          </span>
        )}
      </div>
      {tokens.length > 0 && <p class="said-foot">{foot(name, side)}</p>}
    </section>
  );
}

function note(name: SideName): string {
  if (name === "plain") return "strength 0";
  return hasStages.value ? "sliders as set" : "no bundle yet";
}

function foot(name: SideName, { tokens, records }: Side): string {
  const parts = [`${tokens.length} token${tokens.length === 1 ? "" : "s"}`];
  if (tokensPerSecond.value && name === "plain") parts.push(`${tokensPerSecond.value.toFixed(0)} tokens/s, both sides`);
  const kl = meanKl(records);
  if (kl !== null) parts.push(`KL ${kl.toFixed(3)} nats per token`);
  if (name === "edited") {
    const { plain, edited } = sides.value;
    const parted = edited.tokens.findIndex(({ id, text }, i) => {
      const other = plain.tokens[i];
      return id !== other?.id || text !== other.text;
    });
    if (parted >= 0) parts.push(`parts from plain at token ${parted + 1}`);
    const moves = changedAt.value;
    if (moves.length > 0) parts.push(`slider moved at token ${(moves[0]?.token ?? 0) + 1}`);
  }
  return parts.join(" · ");
}
