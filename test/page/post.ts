/** The page's end in a browser that nobody drives: what it has to say, it posts to the server that it came from. */
import type { FileResult } from "../run-suite.ts";

export interface Posted {
  readonly result?: FileResult;
  /** An error that nobody caught. */
  readonly uncaught?: string;
}

async function post(posted: Posted): Promise<void> {
  await fetch("/posted", { method: "POST", body: JSON.stringify(posted) });
}

/** Makes results and errors that nobody caught go that way. To be called before files run. */
export function postResults(): void {
  globalThis.sendResult = (result) => post({ result });
  addEventListener("error", ({ error, message }) =>
    post({ uncaught: error instanceof Error ? textOf(error) : message }),
  );
  addEventListener("unhandledrejection", ({ reason }) => post({ uncaught: textOf(reason) }));
}

/** Unlike elsewhere, a stack does not begin with the message. */
function textOf(error: unknown): string {
  return error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
}
