/** Many who wait for one abort: a signal has one listener for all of them, since Node warns of more than ten. */
import { alive } from "./resources.ts";

/** Those who wait, and what ends the listener of all. */
interface Waiting {
  readonly callbacks: Set<() => void>;
  readonly stop: () => void;
}

const waiting = new WeakMap<AbortSignal, Waiting>();

/**
 * Calls back when the signal fires. One that has fired already does not. Who no longer waits says so: a caller's signal may
 * live as long as the process.
 * @returns ends that
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (!signal || signal.aborted) return () => undefined;
  const { callbacks, stop } = waiting.get(signal) ?? listen(signal);
  // The same function may wait twice.
  const own = (): void => callback();
  callbacks.add(own);
  alive.take("listeners");
  return () => {
    if (!callbacks.delete(own)) return;
    alive.giveBack("listeners");
    if (callbacks.size === 0) stop();
  };
}

function listen(signal: AbortSignal): Waiting {
  const callbacks = new Set<() => void>();
  const fire = (): void => {
    stop();
    const called = [...callbacks];
    callbacks.clear();
    alive.giveBack("listeners", called.length);
    for (const callback of called) callback();
  };
  const stop = (): void => {
    signal.removeEventListener("abort", fire);
    waiting.delete(signal);
  };
  signal.addEventListener("abort", fire);
  const found = { callbacks, stop };
  waiting.set(signal, found);
  return found;
}
