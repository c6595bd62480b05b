/** Progress of slow phases, for a bar or a line on the terminal. */
export interface Progress {
  /** `upload` counts bytes of weights, `compile` counts pipelines. */
  readonly phase: "upload" | "compile";
  readonly done: number;
  readonly total: number;
}

export type ProgressListener = (progress: Progress) => void;
