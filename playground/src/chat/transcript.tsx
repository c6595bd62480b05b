/** A chat, plain and edited side by side; each side has its own history. */
import { memo } from "preact/compat";
import { useEffect, useRef } from "preact/hooks";
import { hasStages } from "../state/bundles.ts";
import { meanKl } from "../steer/records.ts";
import { isBusy, type SideName } from "../steer/run-state.ts";
import { HeatKey } from "../steer/sides.tsx";
import { Tokens } from "../steer/tokens.tsx";
import { type Answer, chatContext, type Turn, turns } from "./turns.ts";

export function Transcript() {
  const all = turns.value;
  const end = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    // Follows what is said for as long as its end is in sight.
    const observer = new IntersectionObserver(([entry]) => {
      follows.current = entry?.isIntersecting ?? true;
    });
    if (end.current) observer.observe(end.current);
    return () => observer.disconnect();
  }, []);
  const count = all.length;
  useEffect(() => {
    if (count > 0) end.current?.scrollIntoView({ block: "nearest" });
  }, [count]);
  useEffect(() => {
    if (isBusy.value && follows.current) end.current?.scrollIntoView({ block: "nearest" });
  }, [all]);
  return (
    <>
      <div>
        <div class="chat">
          <Column name="plain" title="Plain" />
          <Column name="edited" title="Edited" />
        </div>
        <div ref={end} class="chat-end" />
      </div>
      <HeatKey isCompared={all.some(({ answers }) => meanKl(answers.edited.records) !== null)} />
    </>
  );
}

function Column({ name, title }: { readonly name: SideName; readonly title: string }) {
  const all = turns.value;
  const last = all.length - 1;
  const first = all[last]?.answers[name].first ?? 0;
  return (
    <section
      class={`card side ${name}`}
      aria-label={title}
      style={{ gridRow: `span ${1 + 2 * Math.max(1, all.length)}` }}
    >
      <header>
        <h2>{title}</h2>
        <span class="chip">
          {name === "plain" ? "strength 0" : hasStages.value ? "sliders as set" : "no bundle yet"}
        </span>
      </header>
      {all.length === 0 && (
        <p class="soft said">
          {name === "plain" ? "What the model answers by itself." : "What it answers with the bundle."}
        </p>
      )}
      {all.map((turn, index) => (
        <TurnView
          key={index}
          name={name}
          title={title}
          turn={turn}
          index={index}
          isFirstSeen={index === first && first > 0}
          isSpoken={index === last && isBusy.value}
          context={index === last ? chatContext.value : null}
        />
      ))}
    </section>
  );
}

interface TurnProps {
  readonly name: SideName;
  readonly title: string;
  readonly turn: Turn;
  readonly index: number;
  /** Whether the model no longer sees what was said before. */
  readonly isFirstSeen: boolean;
  readonly isSpoken: boolean;
  readonly context: number | null;
}

const TurnView = memo(({ name, title, turn, index, isFirstSeen, isSpoken, context }: TurnProps) => {
  const answer = turn.answers[name];
  const place = { "--turn": String(index) };
  return (
    <>
      <div class="asked" style={place}>
        {isFirstSeen && (
          <p class="forgotten">
            The context of {context} tokens is full: the model no longer sees what is above. New chat begins afresh.
          </p>
        )}
        <p class="message">
          <span class="unseen">You: </span>
          {turn.message}
        </p>
      </div>
      <div class={`answer ${name}`} style={place}>
        <span class="whose">{title}</span>
        <div class={`said${isSpoken ? " cursor" : ""}`}>
          <Tokens name={name} side={answer} turn={index} />
        </div>
        <p class="said-foot">{foot(name, turn, context)}</p>
      </div>
    </>
  );
});

const ends: Readonly<Record<NonNullable<Answer["end"]>, string | null>> = {
  stop: null,
  length: "cut off at New tokens",
  context: "the context is full: a new chat, or a shorter system message, makes room",
  stopped: "stopped",
  given: "as the link has it",
};

function foot(name: SideName, { answers, isMoved }: Turn, context: number | null): string {
  const { tokens, records, end, before } = answers[name];
  if (tokens.length === 0 && end === null) return "";
  const parts = [`${tokens.length} token${tokens.length === 1 ? "" : "s"}`];
  const why = end && ends[end];
  if (why) parts.push(why);
  const kl = name === "edited" ? meanKl(records) : null;
  if (kl !== null) parts.push(`KL ${kl.toFixed(3)} nats per token`);
  if (isMoved && name === "edited") parts.push("a slider moved");
  if (context !== null && before !== null) parts.push(`${before + tokens.length} of ${context} tokens of context`);
  return parts.join(" · ");
}
