/** Where the lines of a conversation come from: a terminal with an editor, or a pipe. */

import { readLines } from "../input.ts";
import type { InputStream, LineSource } from "../streams.ts";

/** Lines of a pipe or a file. Ctrl-C then ends the whole command, so `interrupt` never occurs. */
export function pipedLines(stdin: InputStream, signal: AbortSignal): LineSource {
  const lines = readLines(stdin, signal);
  return {
    async next() {
      const { done, value } = await lines.next();
      return done ? { kind: "end" } : { kind: "line", text: value };
    },
    close() {
      // The command line releases standard input when the command ends.
    },
  };
}
