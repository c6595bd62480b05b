/** A run: plain and edited in one batch of two sequences, token by token, while sliders move. */
import { computed, effect, signal, untracked } from "@preact/signals";
import type { StageChange } from "sluice";
import type { WorkerModel, WorkerSession } from "../engine.ts";
import {
  bundleInputs,
  changeOf,
  clearBundles,
  composeSettings,
  hasStages,
  settings,
  whenStagesChange,
} from "../state/bundles.ts";
import { failureOf, wasStopped } from "../state/failure.ts";
import { chosen, loading, model } from "../state/model.ts";
import { type Server, server } from "../state/server.ts";
import { analyse } from "./analyse.ts";
import { EDITED, PairBuffer, runPair, type Sampling } from "./pair.ts";
import type { RecordedRun, TokenRecord } from "./records.ts";
import {
  analysing,
  beginRun,
  changedAt,
  clearRunState,
  empty,
  isBusy,
  type RunToken,
  runFailure,
  runState,
  type Side,
  type SideName,
  tokensPerSecond,
} from "./run-state.ts";

export const prompt = signal("The king said");
export const sampling = signal<Sampling>({ temperature: 0.6, seed: 5, maxNewTokens: 60 });
export const sides = signal<Readonly<Record<SideName, Side>>>({ plain: empty, edited: empty });
/** The prompt of what the sides show. */
export const shownPrompt = signal("");
export const recorded = signal<RecordedRun | null>(null);
/** Ids of the last run's prompt. */
export const promptIds = signal<readonly number[]>([]);

/** What the edited model is compared by: the same model with its stages, for the tokens' analysis. */
export const editedModel = signal<WorkerModel | null>(null);

/** Whether the model has a template for chats. */
export const hasTemplate = signal(false);
/** What the user wants, if the model can. */
export const wantsChat = signal(false);
/** Whether there is a model to run. */
export const hasModel = computed(() => model.value !== null || server.value !== null);
export const canGenerate = computed(() => hasModel.value && loading.value === null && !isBusy.value);
export const isChat = computed(() => wantsChat.value && hasTemplate.value);

let last: string | null = null;

// Whether a server has a template shows when it is asked.
effect(() => {
  if (!server.value) return;
  hasTemplate.value = true;
  last = null;
});

// What was said, and what edited it, belongs to the model that was open.
effect(() => {
  const opened = model.value;
  if (opened) untracked(() => startWith(opened));
});

function startWith(opened: WorkerModel): void {
  clearRun();
  if (chosen.value?.id !== last) clearBundles();
  last = chosen.value?.id ?? null;
  const isIds = /^[\d\s,]+$/.test(prompt.value);
  if (!opened.tokenizer && !isIds) prompt.value = "2 0 1 1 0 2";
  if (opened.tokenizer && isIds) prompt.value = "Once upon a time";
  hasTemplate.value = false;
  opened.tokenizer?.applyChatTemplate([{ role: "user", content: "?" }], { addGenerationPrompt: true }).then(
    () => {
      hasTemplate.value = model.value === opened;
    },
    () => {
      hasTemplate.value = false;
    },
  );
}

/** Shows the recorded run until something live takes its place. */
export async function showRecorded(): Promise<void> {
  const response = await fetch(new URL("shelf/recorded.json", document.baseURI));
  const run = (await response.json()) as RecordedRun;
  recorded.value = run;
  // What is live, or about to be, is not replaced.
  if (runState.value !== "idle" || model.value) return;
  const side = (records: readonly TokenRecord[]): Side => ({ tokens: records, records });
  sides.value = { plain: side(run.plain), edited: side(run.edited) };
  prompt.value = run.prompt;
  shownPrompt.value = run.prompt;
  sampling.value = { ...sampling.value, ...run.settings };
  runState.value = "recorded";
}

/** Leaves the sides empty, as for a model that was just opened. */
export function clearRun(): void {
  clearRunState();
  sides.value = { plain: empty, edited: empty };
}

/** Continues the prompt, plain and edited. Resolves when the run has ended, however it did. */
export async function generate(): Promise<void> {
  const [opened, asked] = [model.value, server.value];
  if (isBusy.value || !(opened || asked)) return;
  const stopping = beginRun();
  sides.value = { plain: empty, edited: empty };
  shownPrompt.value = prompt.value;
  editedModel.value = null;
  try {
    if (asked) await continueByServer(asked, stopping);
    else if (opened) await continueHere(opened, stopping);
    runState.value = "done";
  } catch (error) {
    if (wasStopped(error)) runState.value = "stopped";
    else {
      runFailure.value = failureOf(error);
      runState.value = "failed";
    }
  } finally {
    whenStagesChange(null);
  }
  if (runState.value !== "failed") await analyseSides();
}

async function continueByServer(asked: Server, stopping: AbortSignal): Promise<void> {
  const { speakByServer, recordsOf } = await import("../server/speak.ts");
  const input = { prompt: prompt.value };
  await speakByServer(asked, {
    path: "/v1/completions",
    input: { plain: input, edited: input },
    sampling: sampling.value,
    signal: stopping,
    onTokens: (both) => {
      runState.value = "running";
      const side = (name: SideName): Side => {
        return { tokens: both[name].map(({ token }) => token), records: recordsOf(both, name, true) };
      };
      sides.value = { plain: side("plain"), edited: side("edited") };
    },
  });
}

async function continueHere(opened: WorkerModel, stopping: AbortSignal): Promise<void> {
  const given = await readPrompt(opened, prompt.value);
  promptIds.value = given;
  const edited = hasStages.value ? await opened.with(bundleInputs(), composeSettings()) : null;
  editedModel.value = edited;
  const buffer = new PairBuffer<RunToken>((plain, changed) => {
    const side = { tokens: plain, records: null };
    // Without a bundle the edited model is the plain one.
    sides.value = { plain: side, edited: edited ? { tokens: changed, records: null } : side };
  });
  const run = runPair(opened, edited, given, {
    sampling: sampling.value,
    signal: stopping,
    stages: settings.value.map((stage) => ({ id: stage.id, change: changeOf(stage) })),
    onSession: follow,
  });
  for (let next = await run.next(); ; next = await run.next()) {
    if (next.done) {
      tokensPerSecond.value = next.value;
      break;
    }
    runState.value = "running";
    buffer.push(next.value.side, next.value);
  }
  buffer.flush();
}

/** Sends every change to the edited sequence; it acts on the next token, and what was said stays. */
function follow(session: WorkerSession): void {
  whenStagesChange((id: string, change: StageChange) => {
    changedAt.value = [...changedAt.value, { token: sides.value.edited.tokens.length, id }];
    session.set(id, change, { sequence: EDITED, cache: "continue" }).catch((error: unknown) => {
      runFailure.value = failureOf(error);
    });
  });
}

async function analyseSides(): Promise<void> {
  const edited = editedModel.value;
  const { plain, edited: changed } = sides.value;
  if (!edited || plain.tokens.length === 0 || changedAt.value.length > 0) return;
  const changes = new Map(settings.value.map((stage) => [stage.id, changeOf(stage)]));
  analysing.value = true;
  try {
    const of = async (side: Side) => ({
      ...side,
      records: side.tokens.length > 0 ? await analyse(edited, changes, promptIds.value, side.tokens) : null,
    });
    const compared = { plain: await of(plain), edited: await of(changed) };
    if (sides.value.plain === plain && sides.value.edited === changed) sides.value = compared;
  } catch (error) {
    runFailure.value = failureOf(error);
  } finally {
    analysing.value = false;
  }
}

/** Text through the tokenizer; ids for a model without one. */
export async function readPrompt(opened: WorkerModel, text: string): Promise<readonly number[]> {
  return opened.tokenizer ? opened.encode(text) : idsIn(text);
}

/** `2 0 1` or `CAB`: letters are ids from 0. */
function idsIn(text: string): number[] {
  const letters = text.replace(/[\s,]/g, "");
  if (/^[A-Za-z]+$/.test(letters)) return [...letters.toUpperCase()].map((letter) => letter.charCodeAt(0) - 65);
  return text
    .split(/[\s,]+/)
    .filter((word) => word !== "")
    .map(Number);
}
