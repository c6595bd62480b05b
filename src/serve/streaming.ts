/** Answers that are streams: errors before the first event have a status of their own, later ones are an event. */
import type { RequestEnd } from "./answering.ts";
import { EventStream } from "./event-stream.ts";
import type { Limits } from "./limits.ts";
import { problemOf } from "./problem.ts";

/** What a streamed answer is told with. */
export interface Events {
  send(data: object): void;
  /** Whether a choice has begun; it has from then on. */
  hasBegun(choice: number): boolean;
}

/** Time to wait for a first event or an error before the stream begins. */
const PATIENCE_MS = 2000;

/** @param last what says that the stream is complete; null: its end alone does */
export async function answerStream(
  end: RequestEnd,
  limits: Limits,
  tell: (events: Events) => Promise<void>,
  last: string | null = "[DONE]",
): Promise<Response> {
  let isGone = false;
  const stream = new EventStream(limits, () => {
    isGone = true;
    end.end();
  });
  const begun = new Set<number>();
  let onFirst: () => void = () => undefined;
  const first = new Promise<void>((resolve) => {
    onFirst = resolve;
  });
  let hasBegun = false;
  const events: Events = {
    send(data) {
      onFirst();
      stream.send(data);
    },
    hasBegun(choice) {
      const before = begun.has(choice);
      begun.add(choice);
      return before;
    },
  };
  const told = tell(events).then(
    () => {
      if (last !== null) stream.send(last);
      stream.close();
      end.end();
    },
    (error: unknown) => {
      end.end();
      if (!hasBegun) throw error;
      if (isGone) return;
      stream.send(problemOf(error).body);
      stream.close();
    },
  );
  const patience = new Promise<void>((resolve) => setTimeout(resolve, PATIENCE_MS));
  try {
    await Promise.race([first, told, patience]);
  } catch (error) {
    stream.close();
    throw error;
  }
  hasBegun = true;
  // From here on it has told every error to the reader.
  told.catch(() => undefined);
  return new Response(stream.body, {
    headers: {
      "Content-Type": "text/event-stream; charset=utf-8",
      "Cache-Control": "no-cache",
      // Proxies must not collect events.
      "X-Accel-Buffering": "no",
    },
  });
}
