/** Asks a process of process.ts to run a program, and takes what the program prints. */
import { connect } from "node:net";
import { type Answer, type Asked, line, linesOf } from "./messages.ts";

export interface Streams {
  /** Empty if it is left out. */
  readonly stdin?: AsyncIterable<Uint8Array>;
  stdout(bytes: Uint8Array): unknown;
  stderr(bytes: Uint8Array): unknown;
}

/**
 * @param address of the process
 * @returns the program's exit code; null if the process ended before the program
 */
export async function ask(address: string, asked: Asked, streams: Streams): Promise<number | null> {
  const socket = connect(address);
  // The lines end then.
  socket.on("error", () => socket.destroy());
  try {
    socket.write(line(asked));
    // Not waited for: a program may end without having read all of it.
    void typeInto((text) => socket.write(text), streams.stdin);
    for await (const text of linesOf(socket)) {
      const answer = JSON.parse(text) as Answer;
      if ("exit" in answer) return answer.exit;
      if ("stdout" in answer) streams.stdout(Buffer.from(answer.stdout, "base64"));
      else streams.stderr(Buffer.from(answer.stderr, "base64"));
    }
    return null;
  } finally {
    socket.destroy();
  }
}

async function typeInto(write: (text: string) => void, stdin: Streams["stdin"]): Promise<void> {
  for await (const bytes of stdin ?? []) write(line({ stdin: Buffer.from(bytes).toString("base64") }));
  write(line({ stdin: null }));
}
