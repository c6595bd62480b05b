/** A chat: what was said to both sides, and what each answered. */
import { signal } from "@preact/signals";
import type { SharedStage } from "../state/shared-stages.ts";
import type { Sampling } from "../steer/pair.ts";
import type { Side, SideName } from "../steer/run-state.ts";

/** Why an answer ended: of itself, at the most tokens or the end of the context, by hand, or as a link has it. */
export type AnswerEnd = "stop" | "length" | "context" | "stopped" | "given";

export interface Answer extends Side {
  readonly end: AnswerEnd | null;
  /** Positions of the cache before the answer; null of a server. */
  readonly before: number | null;
  /** Index of the first turn that the model saw. */
  readonly first: number;
}

export interface Turn {
  readonly message: string;
  /** How it was drawn, for links. */
  readonly sampling: Sampling;
  readonly stages: readonly SharedStage[];
  /** Whether sliders moved while it was drawn, so that it cannot be drawn again. */
  readonly isMoved: boolean;
  readonly answers: Readonly<Record<SideName, Answer>>;
}

export const noAnswer: Answer = { tokens: [], records: null, end: null, before: null, first: 0 };

export const system = signal("");
/** What is typed. */
export const message = signal("");
export const turns = signal<readonly Turn[]>([]);
export const chatSampling = signal<Sampling>({ temperature: 0.6, seed: 5, maxNewTokens: 256 });
/** Positions of the cache per side; null before the first answer, and of a server. */
export const chatContext = signal<number | null>(null);

export function textOf({ tokens }: Side): string {
  return tokens.map(({ text }) => text).join("");
}

/** Replaces the last turn by what has come. */
export function changeLast(change: Partial<Turn>): void {
  const last = turns.value.at(-1);
  if (last) turns.value = [...turns.value.slice(0, -1), { ...last, ...change }];
}
