/** Progress of slow phases, for a bar or a line on the terminal. */
export interface Progress {
  /**
   * `open` counts answers of the server that a model comes from, `upload` bytes of weights, `compile` pipelines, `tune` operations whose kernels were chosen, `run` tokens of a
   * call's prompts, and `decode` new tokens of all sequences, of as many as there can be.
   */
  readonly phase: "open" | "upload" | "compile" | "tune" | "run" | "decode";
  /** Units done so far. */
  readonly done: number;
  /** Units in all. */
  readonly total: number;
}

/** Called during a slow phase. */
export type ProgressListener = (progress: Progress) => void;
