/** A chat of many turns with the plain and the edited model at once. */
import { effect, untracked } from "@preact/signals";
import type { FinishReason, StageChange } from "sluice";
import type { WorkerModel, WorkerSession } from "../engine.ts";
import { whenStagesChange } from "../state/bundles.ts";
import { failureOf, wasStopped } from "../state/failure.ts";
import { model } from "../state/model.ts";
import { type Server, server } from "../state/server.ts";
import { stagesNow } from "../state/shared-stages.ts";
import { analyse } from "../steer/analyse.ts";
import { EDITED, PairBuffer, type Sampling } from "../steer/pair.ts";
import {
  analysing,
  beginRun,
  changedAt,
  clearRunState,
  isBusy,
  type RunToken,
  runFailure,
  runState,
  type SideName,
  tokensPerSecond,
} from "../steer/run-state.ts";
import { type Exchange, History, type LaidOut, messagesOf } from "./history.ts";
import { changesNow, closeTalk, openTalk, type Talk } from "./talk.ts";
import {
  type Answer,
  type AnswerEnd,
  changeLast,
  chatContext,
  chatSampling,
  message,
  noAnswer,
  system,
  type Turn,
  textOf,
  turns,
} from "./turns.ts";

const sideNames: readonly SideName[] = ["plain", "edited"];
let histories = { plain: new History(), edited: new History() };
let talkIsMoved = false;
/** Comparisons of earlier answers, which the next message does not wait for. */
let comparisons: Promise<void> = Promise.resolve();
let comparing = new AbortController();

// A chat belongs to the model that it was held with.
effect(() => {
  if (model.value) untracked(newChat);
});

/** Begins afresh; the system message stays. */
export function newChat(): void {
  clearRunState();
  leaveTalk();
  turns.value = [];
  chatContext.value = null;
  histories = { plain: new History(), edited: new History() };
}

/** The comparisons under way need what the session was opened with. */
function leaveTalk(): void {
  comparing.abort();
  comparing = new AbortController();
  closeTalk();
}

/** Sends what is typed. */
export async function send(): Promise<void> {
  const text = message.value;
  if (text.trim() === "" || isBusy.value) return;
  message.value = "";
  await ask(text, chatSampling.value);
}

/** Draws the last answers again, with the next seed. */
export async function regenerate(): Promise<void> {
  const last = turns.value.at(-1);
  if (!last || isBusy.value) return;
  turns.value = turns.value.slice(0, -1);
  await ask(last.message, { ...chatSampling.value, seed: last.sampling.seed + 1 });
}

/** Both sides answer a message. Resolves when they have, or could not. */
export async function ask(text: string, sampling: Sampling): Promise<void> {
  const [opened, asked] = [model.value, server.value];
  if (!opened && !asked) return;
  const before = turns.value;
  const signal = beginRun();
  const turn = { message: text, sampling, stages: stagesNow(), isMoved: false };
  turns.value = [...before, { ...turn, answers: { plain: noAnswer, edited: noAnswer } }];
  let spoken: Spoken | null = null;
  try {
    if (asked) await answerByServer(asked, sampling, signal);
    else if (opened) spoken = await answer(opened, sampling, signal);
    runState.value = "done";
  } catch (error) {
    runState.value = wasStopped(error) ? "stopped" : "failed";
    if (runState.value === "failed") runFailure.value = failureOf(error);
    const said = turns.value.at(-1)?.answers;
    if (!said || (said.plain.tokens.length === 0 && said.edited.tokens.length === 0)) withdraw(text, before);
  } finally {
    whenStagesChange(null);
  }
  if (spoken?.edited) queueComparison(spoken.edited, spoken.given);
}

/** What an answer was drawn with. */
interface Spoken {
  readonly edited: WorkerModel | null;
  readonly given: Readonly<Record<SideName, LaidOut>>;
}

/** A message without an answer goes back to where it was typed. */
function withdraw(text: string, before: typeof turns.value): void {
  turns.value = before;
  if (message.value.trim() === "") message.value = text;
}

async function answer(opened: WorkerModel, sampling: Sampling, signal: AbortSignal): Promise<Spoken> {
  // Sliders that moved in the middle of an answer left a cache that no setting has.
  if (talkIsMoved) leaveTalk();
  talkIsMoved = false;
  const talk = await openTalk(opened, signal);
  const { session, edited, ends } = talk;
  chatContext.value = session.context;
  const asked = edited ? sideNames : (["plain"] as const);
  const laidOut: Partial<Record<SideName, LaidOut>> = {};
  for (const side of asked) laidOut[side] = await layOut(side, talk, sampling);
  const plain = laidOut.plain as LaidOut;
  const given = { plain, edited: laidOut.edited ?? plain };
  const told: Record<SideName, Answer> = {
    plain: { ...noAnswer, before: given.plain.ids.length, first: given.plain.first },
    edited: { ...noAnswer, before: given.edited.ids.length, first: given.edited.first },
  };
  const buffer = new PairBuffer<RunToken>((one, other) => {
    changeLast({
      answers: { plain: { ...told.plain, tokens: one }, edited: { ...told.edited, tokens: edited ? other : one } },
    });
  });
  if (edited) follow(session);
  let finishes: readonly (FinishReason | "stopped")[] = ["stopped", "stopped"];
  try {
    const results = await session.generateBatch(
      asked.map((side) => given[side].ids),
      {
        temperature: sampling.temperature,
        seeds: asked.map(() => sampling.seed),
        maxNewTokens: sampling.maxNewTokens,
        stopTokens: [...ends],
        signal,
        onToken: ({ token, text, sequence }) => {
          runState.value = "running";
          const side = sequence === 0 ? "plain" : "edited";
          const piece = text ?? "";
          // What ends a turn is not shown; text that was held back until it came is.
          if (!ends.has(token)) buffer.push(side, { id: token, text: piece });
          else if (piece !== "") buffer.amend(side, (last) => ({ ...last, text: last.text + piece }));
        },
      },
    );
    finishes = results.map(({ finish }) => finish);
    tokensPerSecond.value = results[0]?.timings.decode_tokens_per_s || null;
  } finally {
    buffer.flush();
    await remember(opened, asked, finishes);
  }
  return { edited, given };
}

function layOut(side: SideName, { model: { tokenizer }, session }: Talk, { maxNewTokens }: Sampling): Promise<LaidOut> {
  if (!tokenizer) throw new Error("This model has no tokenizer, so it cannot hold a conversation");
  return histories[side].layOut(tokenizer, {
    system: system.value,
    exchanges: exchangesOf(side),
    context: session.context,
    room: Math.min(maxNewTokens, Math.floor(session.context / 4)),
  });
}

/** The last message has no answer yet. */
export function exchangesOf(side: SideName): readonly Exchange[] {
  return turns.value.map(({ message: text, answers }, i) => ({
    message: text,
    answer: i === turns.value.length - 1 ? null : textOf(answers[side]),
  }));
}

/** Sends every change to the edited sequence; it acts on the next token, and what was said stays. */
function follow(session: WorkerSession): void {
  whenStagesChange((id: string, change: StageChange) => {
    const length = turns.value.at(-1)?.answers.edited.tokens.length ?? 0;
    changedAt.value = [...changedAt.value, { token: length, id }];
    talkIsMoved = true;
    session.set(id, change, { sequence: EDITED, cache: "continue" }).catch((error: unknown) => {
      runFailure.value = failureOf(error);
    });
  });
}

/** Plain and edited are two requests; each holds its side's history. */
async function answerByServer(asked: Server, sampling: Sampling, signal: AbortSignal): Promise<void> {
  const { speakByServer, recordsOf } = await import("../server/speak.ts");
  const exchanges = { plain: exchangesOf("plain"), edited: exchangesOf("edited") };
  const isSame = exchanges.plain.every(({ answer: said }, i) => said === exchanges.edited[i]?.answer);
  const ended = await speakByServer(asked, {
    path: "/v1/chat/completions",
    input: {
      plain: { messages: messagesOf(system.value, exchanges.plain) },
      edited: { messages: messagesOf(system.value, exchanges.edited) },
    },
    sampling,
    signal,
    onTokens: (both) => {
      runState.value = "running";
      const side = (name: SideName): Answer => {
        const records = recordsOf(both, name, isSame);
        return { ...noAnswer, tokens: both[name].map(({ token }) => token), records, end: "stopped" };
      };
      changeLast({ answers: { plain: side("plain"), edited: side("edited") } });
    },
  });
  const last = turns.value.at(-1)?.answers;
  if (!last) return;
  const end = (side: SideName): Answer => ({ ...last[side], end: ended[side] === "length" ? "length" : "stop" });
  changeLast({ answers: { plain: end("plain"), edited: end("edited") } });
}

/** Keeps what was said, also of an answer that was stopped. */
async function remember(
  { tokenizer }: WorkerModel,
  asked: readonly SideName[],
  finishes: readonly AnswerEnd[],
): Promise<void> {
  const turn = turns.value.at(-1);
  if (!turn || !tokenizer) return;
  for (const side of asked) {
    const said = turn.answers[side];
    const ids = said.tokens.map(({ id }) => id ?? 0);
    await histories[side].answered(tokenizer, { text: textOf(said), ids });
  }
  // Without a bundle the edited side is the plain one, until a bundle is added.
  if (!asked.includes("edited")) histories.edited = histories.plain.clone();
  const ended = (side: SideName, i: number): Answer => ({ ...turn.answers[side], end: finishes[i] ?? "stopped" });
  changeLast({
    isMoved: changedAt.value.length > 0,
    answers: { plain: ended("plain", 0), edited: ended("edited", asked.length - 1) },
  });
}

/** What both models thought of every token of the last answers, with the stages as they are now. */
function queueComparison(edited: WorkerModel, given: Readonly<Record<SideName, LaidOut>>): void {
  const turn = turns.value.at(-1);
  if (!turn || turn.isMoved) return;
  const [changes, place] = [changesNow(), turns.value.length - 1];
  comparisons = comparisons.then(() => compare(edited, changes, given, place, turn));
}

async function compare(
  edited: WorkerModel,
  changes: ReadonlyMap<string, StageChange>,
  given: Readonly<Record<SideName, LaidOut>>,
  place: number,
  turn: Turn,
): Promise<void> {
  if (turns.value[place] !== turn) return;
  const { signal } = comparing;
  analysing.value = true;
  try {
    const of = async (side: SideName): Promise<Answer> => {
      const { tokens } = turn.answers[side];
      const records = tokens.length > 0 ? await analyse(edited, changes, given[side].ids, tokens, signal) : null;
      return { ...turn.answers[side], records };
    };
    const answers = { plain: await of("plain"), edited: await of("edited") };
    turns.value = turns.value.map((each) => (each === turn ? { ...turn, answers } : each));
  } catch (error) {
    if (!signal.aborted && !wasStopped(error)) runFailure.value = failureOf(error);
  } finally {
    analysing.value = false;
  }
}
