/** Where the lines of a conversation come from: a terminal with an editor, or a pipe. */
import type { InputStream } from "../context.ts";
import { readLines } from "../input.ts";

/**
 * What waiting for the next line ends with: a line without its end; Ctrl-C, which may have given up something typed; or
 * the end of the input.
 */
export type LineEvent =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "interrupt"; readonly gaveUp: boolean }
  | { readonly kind: "end" };

export interface LineSource {
  /**
   * Waits for the next line.
   * @param prompt shown to a person who types; a pipe shows nothing
   */
  next(prompt: string): Promise<LineEvent>;
  /** Gives the input back. */
  close(): void;
}

/** Lines of a pipe or a file. Ctrl-C ends the whole command there, so `interrupt` never comes. */
export function pipedLines(stdin: InputStream, signal: AbortSignal): LineSource {
  const lines = readLines(stdin, signal);
  return {
    async next() {
      const { done, value } = await lines.next();
      return done ? { kind: "end" } : { kind: "line", text: value };
    },
    close() {
      // The command line gives up standard input when the command ends.
    },
  };
}
