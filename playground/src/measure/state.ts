/** Measurements of this device: speed, where the time goes, and whether every kernel computes what it should. */
import { signal } from "@preact/signals";
import type { Profile } from "sluice";
import { engine, type WorkerModel } from "../engine.ts";
import { type Failure, failureOf, wasStopped } from "../state/failure.ts";
import { chosen, model } from "../state/model.ts";
import { type PageReport, reportOf } from "./report.ts";

export interface Measured {
  readonly model: string;
  readonly profile: Profile;
  readonly report: PageReport;
}

export interface Doing {
  readonly words: string;
  readonly done: number;
  readonly total: number;
}

export const measured = signal<Measured | null>(null);
export const doing = signal<Doing | null>(null);
export const measureFailure = signal<Failure | null>(null);

let abort: AbortController | null = null;

export function stopMeasuring(): void {
  abort?.abort();
}

export async function measure(): Promise<void> {
  const opened = model.value;
  if (!opened || doing.value) return;
  abort = new AbortController();
  const { signal: stopped } = abort;
  const onProgress = (words: string, done: number, total: number) => {
    doing.value = { words, done, total };
  };
  measureFailure.value = null;
  doing.value = { words: "Preparing", done: 0, total: 0 };
  try {
    const library = await engine();
    const context = opened.config.max_position_embeddings;
    const bench = await library.benchModel(opened, undefined, {
      promptTokens: Math.max(1, Math.min(64, Math.floor(context / 2))),
      newTokens: Math.max(1, Math.min(16, Math.floor(context / 2) - 1)),
      signal: stopped,
      onProgress,
    });
    const profile = await library.profileModel(opened, await promptOf(opened), {
      newTokens: Math.max(1, Math.min(8, Math.floor(context / 2) - 1)),
      measures: false,
      signal: stopped,
      onProgress,
    });
    const name = chosen.value?.id ?? "";
    measured.value = { model: name, profile, report: await reportOf(name, opened, bench, profile) };
  } catch (error) {
    if (!wasStopped(error)) measureFailure.value = failureOf(error);
  } finally {
    doing.value = null;
    abort = null;
  }
}

async function promptOf(opened: WorkerModel): Promise<readonly number[]> {
  if (!opened.tokenizer) return [2, 0, 1, 1, 0];
  return (await opened.encode("Once upon a time there was a little girl who lived in a house near the sea.")).slice(
    0,
    64,
  );
}
