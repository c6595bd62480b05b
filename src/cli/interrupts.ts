/** Ctrl-C: the first asks the work to stop, the second does not wait for it. */

/** Milliseconds; a notice appears if stopping takes longer. */
const PATIENCE_MS = 1000;

/** `process`, or its stand-in in a test. */
export interface SignalSource {
  on(event: "SIGINT" | "SIGTERM", listener: () => void): unknown;
  off(event: "SIGINT" | "SIGTERM", listener: () => void): unknown;
}

export interface Interrupts {
  /** The exit code of the interruption (128 + the signal's number), or null. */
  readonly exitCode: number | null;
  /** Makes Ctrl-C call the handler instead of ending the command, until the returned function is called. */
  divert(handler: () => void): () => void;
  /** Makes the first signal of either kind call the handler; the second ends the process. */
  takeOver(handler: () => void): void;
  /** Stops listening for signals. */
  release(): void;
}

/**
 * @param stop called at the first signal
 * @param exit called at the second
 * @param onWait called if the work has not stopped a second after the first
 */
export function watchInterrupts(
  signals: SignalSource,
  stop: () => void,
  exit: (code: number) => void,
  onWait: () => void = () => undefined,
): Interrupts {
  let waiting: NodeJS.Timeout | undefined;
  let exitCode: number | null = null;
  let diverted: (() => void) | null = null;
  let shutDown: (() => void) | null = null;
  let isShuttingDown = false;
  const end = (code: number): void => {
    // A thread that the system does not let go of, as one that waits for a pipe, would keep the process from ending: a third
    // signal then ends it as if nobody listened.
    release();
    exit(code);
  };
  const interrupt = (code: number): void => {
    if (isShuttingDown) end(code);
    if (shutDown) {
      isShuttingDown = true;
      shutDown();
      return;
    }
    if (exitCode !== null) end(code);
    exitCode = code;
    stop();
    waiting ??= setTimeout(onWait, PATIENCE_MS);
  };
  const onInterrupt = (): void => (diverted ? diverted() : interrupt(130));
  const onTerminate = (): void => interrupt(143);
  signals.on("SIGINT", onInterrupt);
  signals.on("SIGTERM", onTerminate);
  const release = (): void => {
    clearTimeout(waiting);
    signals.off("SIGINT", onInterrupt);
    signals.off("SIGTERM", onTerminate);
  };
  return {
    get exitCode() {
      return exitCode;
    },
    divert(handler) {
      diverted = handler;
      return () => {
        diverted = null;
      };
    },
    takeOver(handler) {
      shutDown = handler;
    },
    release,
  };
}
