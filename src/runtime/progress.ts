/** What slow phases report. */
import type { DownloadProgress } from "../hub/progress.ts";

/** Progress of slow phases, for a bar or a line on the terminal. */
export interface Progress {
  /**
   * `open` counts answers of the server that a model comes from, `download` bytes that a hub has sent, `upload` bytes of
   * weights, `compile` pipelines, `tune` operations whose kernels were chosen, `run` tokens of a call's prompts, and
   * `decode` new tokens of all sequences, of as many as there can be. `download` and `upload` go on side by side.
   */
  readonly phase: "open" | "download" | "upload" | "compile" | "tune" | "run" | "decode";
  /** Units done so far. */
  readonly done: number;
  /** Units in all. */
  readonly total: number;
  /** With `download`: each file, the rate and the time left. */
  readonly download?: DownloadProgress;
}

/** Called during a slow phase. */
export type ProgressListener = (progress: Progress) => void;
