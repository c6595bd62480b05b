/** A text whose tokens are buttons: one stop of the tab key, arrows from token to token. */
import { memo } from "preact/compat";
import { useRef } from "preact/hooks";
import { heatOf } from "./heat.ts";
import { chosenToken, type RunToken, type Side, type SideName } from "./run-state.ts";
import { showsHeat } from "./sides.tsx";

interface Props {
  readonly name: SideName;
  readonly side: Side;
  /** Of a chat. */
  readonly turn?: number;
}

export function Tokens({ name, side: { tokens, records }, turn = 0 }: Props) {
  const list = useRef<HTMLSpanElement>(null);
  const { value } = chosenToken;
  const chosen = value?.side === name && value.turn === turn ? value.index : -1;
  const stop = chosen >= 0 ? chosen : 0;
  const toggle = (index: number) => {
    chosenToken.value = index === chosen ? null : { side: name, turn, index };
  };
  const go = (event: KeyboardEvent) => {
    const buttons = [...(list.current?.querySelectorAll<HTMLElement>(".token") ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLElement);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (at < 0 || (step === undefined && event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    if (step === undefined) toggle(at);
    else buttons[at + step]?.focus();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the keys are those of the buttons inside
    <span ref={list} onKeyDown={go}>
      {tokens.map((token, index) => (
        <TokenButton
          key={index}
          index={index}
          token={token}
          heat={showsHeat.value && records ? heatOf(records[index]?.kl ?? 0) : 0}
          isChosen={index === chosen}
          isStop={index === stop}
          onToggle={toggle}
        />
      ))}
    </span>
  );
}

interface TokenProps {
  readonly index: number;
  readonly token: RunToken;
  readonly heat: number;
  readonly isChosen: boolean;
  readonly isStop: boolean;
  readonly onToggle: (index: number) => void;
}

/**
 * Drawn again only if something about it changed: a text may be long. A span, because the text flows through it as
 * through any text: a button element is a box, which keeps its first space at the beginning of a line.
 */
const TokenButton = memo(
  ({ index, token: { id, text }, heat, isChosen, isStop, onToggle }: TokenProps) => (
    // biome-ignore lint/a11y/useSemanticElements: see above
    // biome-ignore lint/a11y/useKeyWithClickEvents: the list around it takes the keys
    <span
      role="button"
      class={`token${text === "" ? " part" : text.includes("\n") ? " break" : ""}`}
      data-heat={heat}
      data-id={id}
      aria-pressed={isChosen}
      tabIndex={isStop ? 0 : -1}
      {...(text.trim() === "" && { "aria-label": blankName(text) })}
      onClick={() => onToggle(index)}
    >
      {text}
    </span>
  ),
  // The function is another each time, and does the same.
  (before, after) =>
    before.token === after.token &&
    before.heat === after.heat &&
    before.isStop === after.isStop &&
    before.isChosen === after.isChosen,
);

function blankName(text: string): string {
  if (text === "") return "part of a character";
  return text.includes("\n") ? "line break" : "space";
}
