/** What the command line stands on: the library and the process. Tests put their own in its place. */
import type { load } from "../index.ts";
import type { TextOutput } from "./output.ts";
import type { Progress } from "./progress.ts";

/** Standard input, or what plays its part. */
export interface InputStream extends AsyncIterable<Uint8Array | string> {
  readonly isTTY?: boolean;
}

/** Opens the library when a command needs it, so that `--help` is there at once. */
export interface Library {
  load: typeof load;
  /** What `sluice info` tells: an object for programs, and a text for people. */
  info(options: { readonly adapter?: string }): Promise<{ readonly data: unknown; readonly text: string }>;
}

/** What a command works with. */
export interface CommandContext {
  readonly library: Library;
  readonly stdin: InputStream;
  /** Results only. */
  readonly stdout: TextOutput;
  /** Fires on Ctrl-C, and when nobody reads the results any more. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** A line for the person, on stderr. */
  note(text: string): void;
}
