/** A fit: what it is made from, how far it is, what it found. */
import { signal } from "@preact/signals";
import type { AuraFit, Bundle, EdgeFit, Evaluation } from "sluice";
import { engine, type WorkerModel } from "../engine.ts";
import { type Failure, failureOf, wasStopped } from "../state/failure.ts";
import { model } from "../state/model.ts";
import { sentencesIn, split } from "./lists.ts";

export const methods = {
  aura: "AurA: turn down the neurons that tell the lists apart",
  ace: "ACE: a direction, and a dial along it",
  addition: "Addition: push along the direction",
  ablation: "Ablation: remove the direction",
  leace: "LEACE: erase what a linear classifier could use",
  edges: "Edges: cut the few that the positive list needs",
} as const;
export type Method = keyof typeof methods;

export type Found =
  | { readonly kind: "aura"; readonly fit: AuraFit }
  | { readonly kind: "direction" }
  | { readonly kind: "edges"; readonly fit: EdgeFit };

export interface Fitted {
  readonly method: Method;
  readonly bundle: Bundle;
  readonly bytes: Uint8Array;
  readonly found: Found;
  readonly seconds: number;
}

/** Effect on held-out positive sentences, cost on negative ones. */
export interface Judged {
  readonly effect: Evaluation["predictions"];
  readonly cost: Evaluation["predictions"];
  readonly heldOut: boolean;
}

export interface Doing {
  readonly words: string;
  readonly done: number;
  readonly total: number;
  readonly since: number;
}

export const positive = signal("");
export const negative = signal("");
export const method = signal<Method>("ace");
export const layer = signal<number | null>(null);
export const doing = signal<Doing | null>(null);
export const fitted = signal<Fitted | null>(null);
export const judged = signal<Judged | null>(null);
export const fitFailure = signal<Failure | null>(null);

/** Tokens of each sentence that are read. */
const MOST_TOKENS = 24;

let abort: AbortController | null = null;

export function stopFit(): void {
  abort?.abort();
}

/** Fits, then judges. */
export async function startFit(): Promise<void> {
  const opened = model.value;
  if (!opened || doing.value) return;
  abort = new AbortController();
  const { signal: stopped } = abort;
  fitFailure.value = null;
  fitted.value = null;
  judged.value = null;
  const began = performance.now();
  const tell = (words: string, done: number, total: number) => {
    doing.value = { words, done, total, since: began };
  };
  tell("Reading sentences", 0, 0);
  try {
    const [yes, no] = [await encode(opened, positive.value), await encode(opened, negative.value)];
    const [from, against] = [split(yes), split(no)];
    const result = await run(opened, from.fit, against.fit, stopped, tell);
    const bytes = await (await engine()).writeBundle(result.bundle);
    const seconds = (performance.now() - began) / 1000;
    fitted.value = { method: method.value, ...result, bytes, seconds };
    const edited = await opened.with([result.bundle]);
    const judge = async (documents: readonly (readonly number[])[], words: string) => {
      const { predictions } = await (await engine()).evaluate(edited, {
        documents: documents.filter(({ length }) => length > 1),
        signal: stopped,
        onProgress: (_, done, total) => tell(words, done, total),
      });
      return predictions;
    };
    const effect = await judge(from.judge, "Measuring the effect");
    const cost = await judge(against.judge, "Measuring the cost");
    judged.value = { effect, cost, heldOut: from.judge !== from.fit && against.judge !== against.fit };
    edited.dispose();
  } catch (error) {
    if (!wasStopped(error)) fitFailure.value = failureOf(error);
  } finally {
    doing.value = null;
    abort = null;
  }
}

async function run(
  opened: WorkerModel,
  yes: readonly (readonly number[])[],
  no: readonly (readonly number[])[],
  stopped: AbortSignal,
  tell: (words: string, done: number, total: number) => void,
): Promise<{ readonly bundle: Bundle; readonly found: Found }> {
  const library = await engine();
  const onProgress = (done: number, total: number) => tell("Reading sentences", done, total);
  const classes = { positive: yes, negative: no, signal: stopped, onProgress };
  switch (method.value) {
    case "aura": {
      const made = await library.fitAura(opened, classes);
      return { bundle: made.bundle, found: { kind: "aura", fit: made } };
    }
    case "edges": {
      // The positive list is what the model shall say less often.
      const options = { good: no, bad: yes, edges: 6, shortlist: 8, badWeight: 1, badCap: 1, signal: stopped };
      const made = await library.fitEdges(opened, {
        ...options,
        onProgress: (words) => tell(words.split("\n")[0] ?? "", 0, 0),
      });
      return { bundle: made.bundle, found: { kind: "edges", fit: made } };
    }
    default: {
      const layers = layer.value === null ? "all" : [layer.value];
      const bundle = await library.fitDirection(opened, method.value, { ...classes, layers });
      return { bundle, found: { kind: "direction" } };
    }
  }
}

async function encode(opened: WorkerModel, text: string): Promise<(readonly number[])[]> {
  const lists: (readonly number[])[] = [];
  for (const sentence of sentencesIn(text)) lists.push((await opened.encode(sentence)).slice(0, MOST_TOKENS));
  return lists;
}
