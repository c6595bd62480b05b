/** Progress of slow phases, for a bar or a line on the terminal. */
export interface Progress {
  /** `upload` counts bytes of weights, `compile` pipelines, `tune` operations whose kernels were chosen. */
  readonly phase: "upload" | "compile" | "tune";
  readonly done: number;
  readonly total: number;
}

export type ProgressListener = (progress: Progress) => void;
