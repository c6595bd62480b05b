/** What runs, and what is known of it: for a prompt and for a chat alike. */
import { computed, signal } from "@preact/signals";
import type { Failure } from "../state/failure.ts";
import type { TokenRecord } from "./records.ts";

export interface RunToken {
  /** Null of a server, which tells texts alone. */
  readonly id: number | null;
  /** What became printable with it; the id where the model has no tokenizer. */
  readonly text: string;
}

export type SideName = "plain" | "edited";

export interface Side {
  readonly tokens: readonly RunToken[];
  /** What both models thought of each token; null until that is known. */
  readonly records: readonly TokenRecord[] | null;
}

export const empty: Side = { tokens: [], records: null };

/** `idle` shows nothing, `recorded` what a script of the repository recorded. */
export type RunState = "idle" | "recorded" | "starting" | "running" | "done" | "stopped" | "failed";

export const runState = signal<RunState>("idle");
export const runFailure = signal<Failure | null>(null);
/** Changes of stages in the middle of the run, by the number of tokens that were there. */
export const changedAt = signal<readonly { readonly token: number; readonly id: string }[]>([]);
/** The token that is looked at; of a chat, in which turn. */
export const chosenToken = signal<{ readonly side: SideName; readonly turn: number; readonly index: number } | null>(
  null,
);
export const tokensPerSecond = signal<number | null>(null);
/** Whether the analysis of tokens runs. */
export const analysing = signal(false);
export const isBusy = computed(() => runState.value === "starting" || runState.value === "running");

let stopper: AbortController | null = null;

/** A run begins. @returns what stops it */
export function beginRun(): AbortSignal {
  stopper?.abort();
  stopper = new AbortController();
  chosenToken.value = null;
  runFailure.value = null;
  changedAt.value = [];
  tokensPerSecond.value = null;
  runState.value = "starting";
  return stopper.signal;
}

export function stop(): void {
  stopper?.abort();
}

/** Nothing runs, and nothing is shown. */
export function clearRunState(): void {
  stop();
  runState.value = "idle";
  chosenToken.value = null;
  runFailure.value = null;
  changedAt.value = [];
}
