/** What sequences need to know of the stages that act on them. */
export interface SequenceStages {
  /** Whether every stage is off in each of these sequences. */
  areOff(sequences: Iterable<number>): boolean;
  /** P of a sequence: its positions [0, P) are the prompt's. */
  setPromptLength(sequence: number, promptLength: number): void;
  /** The first of a sequence's tokens on which some stage acts under one P and not under another: see new-roles.ts. */
  firstNewRole(sequence: number, tokens: readonly number[], before: (position: number) => number, now: number): number;
  /** Sends what changed to the GPU; it is in force for everything submitted from now on. */
  flush(): void;
}
