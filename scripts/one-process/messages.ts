/** What a process that runs programs one after another is asked, and what it answers: lines of JSON over a socket. */
import type { Socket } from "node:net";

/** The first line: a module to run as if it were the first of a process of its own. */
export interface Asked {
  /** Absolute path. */
  readonly module: string;
  /** The arguments after the module's name. */
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The lines after it: what comes in at stdin, in base64, and that it ends. */
export interface Typed {
  readonly stdin: string | null;
}

/** What comes back: bytes in base64, and the exit code as the last line. */
export type Answer = { readonly stdout: string } | { readonly stderr: string } | { readonly exit: number };

/** How a connection breaks if its other end is not there any more. */
const BROKEN = new Set<string | undefined>([
  "ECONNRESET",
  "EPIPE",
  "ECONNREFUSED",
  "ENOENT",
  "ERR_STREAM_PREMATURE_CLOSE",
]);

/** The lines that arrive; they end with the connection, also if it breaks. */
export async function* linesOf(socket: Socket): AsyncGenerator<string> {
  socket.setEncoding("utf8");
  let rest = "";
  try {
    for await (const text of socket) {
      const lines = `${rest}${text}`.split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } catch (error) {
    if (!BROKEN.has((error as NodeJS.ErrnoException).code)) throw error;
  }
}

export function line(message: Asked | Typed | Answer): string {
  return `${JSON.stringify(message)}\n`;
}
