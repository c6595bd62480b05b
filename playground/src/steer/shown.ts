/** What the two sides show: of a prompt, or of a chat's turn. */
import { computed } from "@preact/signals";
import { turns } from "../chat/turns.ts";
import { isChat, sides } from "./run.ts";
import { chosenToken, empty, type Side, type SideName } from "./run-state.ts";

const nothing: Readonly<Record<SideName, Side>> = { plain: empty, edited: empty };

/** What was said last. */
export const latest = computed(() => (isChat.value ? (turns.value.at(-1)?.answers ?? nothing) : sides.value));

/** The side of the token that is looked at. */
export const chosenSide = computed((): Side | null => {
  const chosen = chosenToken.value;
  if (!chosen) return null;
  const shown = isChat.value ? turns.value[chosen.turn]?.answers : sides.value;
  return shown?.[chosen.side] ?? null;
});
