/** What both models thought at a token. */

import { turns } from "../chat/turns.ts";
import { FiguresRow, FiguresTable } from "../parts/figures.tsx";
import { hasStages } from "../state/bundles.ts";
import type { Alternative, TokenRecord } from "./records.ts";
import { isChat } from "./run.ts";
import { analysing, changedAt, chosenToken } from "./run-state.ts";
import { chosenSide } from "./shown.ts";

export function TokenDetail() {
  const chosen = chosenToken.value;
  const side = chosenSide.value;
  const token = chosen && side?.tokens[chosen.index];
  if (!chosen || !token) return null;
  const record = side?.records?.[chosen.index];
  return (
    <section class="card stack after" aria-label="Token">
      <div class="row spread">
        <h2>
          Token {chosen.index + 1}, {chosen.side}
          {isChat.value && `, turn ${chosen.turn + 1}`} <span class="token-name">{shown(token.text)}</span>{" "}
          {token.id !== null && <small class="soft">id {token.id}</small>}
        </h2>
        <button
          type="button"
          class="button small quiet"
          onClick={() => {
            chosenToken.value = null;
          }}
        >
          Close
        </button>
      </div>
      {record ? <Details record={record} /> : <p class="soft">{why(chosen.turn)}</p>}
    </section>
  );
}

function why(turn: number): string {
  const wasMoved = isChat.value ? turns.value[turn]?.isMoved : changedAt.value.length > 0;
  if (analysing.value) return "Comparing token by token …";
  if (!hasStages.value) return "Add a bundle: then plain and edited are compared at every token.";
  if (wasMoved)
    return "A slider moved during this run, so its tokens were drawn from several models. Generate again to compare.";
  return "Plain and edited are compared when the run has ended.";
}

function Details({ record }: { readonly record: TokenRecord }) {
  const { plain, edited, plain_rank, edited_rank, kl, alternatives } = record;
  return (
    <div class="token-detail">
      <div class="stack">
        <div class="measures">
          <span>Plain</span>
          <Bar side="plain" value={plain} />
          <span>{likelihood(plain, plain_rank)}</span>
          <span>Edited</span>
          <Bar side="edited" value={edited} />
          <span>{likelihood(edited, edited_rank)}</span>
        </div>
        {plain !== null && edited !== null ? (
          <p class="soft small">
            The edit makes this token {change(plain, edited)}.
            {kl !== null && ` The predictions here are ${kl.toFixed(3)} nats apart: KL(plain ‖ edited).`}
          </p>
        ) : (
          <p class="soft small">
            A server tells the likeliest tokens after its own text: what the other side thought here is not known.
          </p>
        )}
      </div>
      <FiguresTable
        caption="What else could have come"
        words={["Alternatives"]}
        figures={["Plain", "Edited", "Change"]}
      >
        {alternatives.map((each) => (
          <AlternativeRow key={each.id ?? each.text} each={each} isThis={isSame(each, record)} />
        ))}
      </FiguresTable>
    </div>
  );
}

function AlternativeRow({ each, isThis }: { readonly each: Alternative; readonly isThis: boolean }) {
  const { plain, edited } = each;
  return (
    <FiguresRow
      name={
        <span class="token-cell">
          <span class="token-name">{shown(each.text)}</span>
          {isThis && <small> this one</small>}
        </span>
      }
      figures={[
        plain === null ? "less likely" : percent(plain),
        edited === null ? "less likely" : percent(edited),
        moved(plain, edited),
      ]}
    />
  );
}

/** The change between two probabilities; of one that is not known only the direction is. */
function moved(plain: number | null, edited: number | null): string {
  if (plain === null) return "▲";
  if (edited === null) return "▼";
  return edited >= plain ? `▲ +${percent(edited - plain)}` : `▼ −${percent(plain - edited)}`;
}

/** A server tells texts, not ids. */
function isSame(one: Pick<Alternative, "id" | "text">, other: Pick<TokenRecord, "id" | "text">): boolean {
  return one.id === null ? one.text === other.text : one.id === other.id;
}

function likelihood(probability: number | null, rank: number | null): string {
  if (probability === null) return "not known";
  return rank === null ? percent(probability) : `${percent(probability)}, rank ${rank.toLocaleString("en")}`;
}

function Bar({ side, value }: { readonly side: "plain" | "edited"; readonly value: number | null }) {
  return (
    <span class={`bar ${side}`} aria-hidden="true">
      <i style={{ "--share": String(value ?? 0) }} />
    </span>
  );
}

function change(plain: number, edited: number): string {
  const [more, less] = [Math.max(plain, edited), Math.min(plain, edited)];
  if (more < less * 1.05) return "neither more nor less likely";
  return `${times(more / less)} ${edited > plain ? "more" : "less"} likely`;
}

function times(ratio: number): string {
  return ratio < 10 ? `${ratio.toFixed(1)} times` : `${Math.round(ratio).toLocaleString("en")} times`;
}

export function percent(value: number): string {
  const share = value * 100;
  return `${share >= 10 ? share.toFixed(1) : share >= 0.1 ? share.toFixed(2) : share.toPrecision(1)} %`;
}

function shown(text: string): string {
  return text.replace(/\n/g, "⏎") || "·";
}
