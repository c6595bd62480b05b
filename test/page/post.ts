/** The page's end in a browser that nobody drives: what it has to say, it posts to the server that it came from. */
import type { FileResult } from "../run-suite.ts";

export interface Posted {
  readonly result?: FileResult;
  /** An error that nobody caught. */
  readonly uncaught?: string;
  /** Asks for the file to run next: the answer is its path, or nothing. */
  readonly next?: true;
}

async function post(posted: Posted): Promise<string> {
  const response = await fetch("/posted", { method: "POST", body: JSON.stringify(posted) });
  return response.text();
}

/** Makes results and errors that nobody caught go that way. To be called before files run. */
export function postResults(): void {
  globalThis.sendResult = async (result) => void (await post({ result }));
  globalThis.nextFile = async () => (await post({ next: true })) || null;
  addEventListener("error", ({ error, message }) =>
    post({ uncaught: error instanceof Error ? textOf(error) : message }),
  );
  addEventListener("unhandledrejection", ({ reason }) => post({ uncaught: textOf(reason) }));
}

/** Unlike elsewhere, a stack does not begin with the message. */
function textOf(error: unknown): string {
  return error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
}
