/** A turn as a link has it: one that was stopped, or steered by hand, cannot be drawn again. */
import { model } from "../state/model.ts";
import type { SharedStage } from "../state/shared-stages.ts";
import type { Sampling } from "../steer/pair.ts";
import type { RunToken, SideName } from "../steer/run-state.ts";
import { noAnswer, turns } from "./turns.ts";

interface Given {
  readonly message: string;
  readonly sampling: Sampling;
  readonly stages: readonly SharedStage[];
  readonly tokens: Readonly<Record<SideName, readonly (number | string)[]>>;
}

export async function givenTurn({ message, sampling, stages, tokens }: Given): Promise<void> {
  const answerOf = async (side: SideName) => {
    return { ...noAnswer, tokens: await textsOf(tokens[side]), end: "given" as const };
  };
  const answers = { plain: await answerOf("plain"), edited: await answerOf("edited") };
  turns.value = [...turns.value, { message, sampling, stages, isMoved: true, answers }];
}

/** Ids with the text that became printable with each. */
async function textsOf(given: readonly (number | string)[]): Promise<readonly RunToken[]> {
  const { tokenizer } = model.value ?? {};
  const ids = given.filter((each) => typeof each === "number");
  if (!tokenizer || ids.length < given.length) return given.map((each) => ({ id: null, text: String(each) }));
  const [first = 0] = ids;
  // Some tokenizers take the space from before the first word of a text; these words are not its first.
  const before = await tokenizer.decode([first]);
  const upTo = await Promise.all(ids.map((_, i) => tokenizer.decode([first, ...ids.slice(0, i + 1)])));
  let shown = before;
  return ids.map((id, i) => {
    // Part of a character shows as �, until the rest comes.
    const whole = i === ids.length - 1 ? (upTo[i] ?? "") : (upTo[i] ?? "").replace(/\uFFFD+$/, "");
    const text = whole.slice(shown.length);
    shown = whole.length > shown.length ? whole : shown;
    return { id, text };
  });
}
