/** Many who wait for one abort: a signal has one listener for all of them, since Node warns of more than ten. */

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls back when the signal fires. One that has fired already does not.
 * @returns ends that
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (!signal) return () => undefined;
  const callbacks = waiting.get(signal) ?? listen(signal);
  callbacks.add(callback);
  return () => callbacks.delete(callback);
}

function listen(signal: AbortSignal): Set<() => void> {
  const callbacks = new Set<() => void>();
  waiting.set(signal, callbacks);
  signal.addEventListener("abort", () => {
    for (const callback of [...callbacks]) callback();
    callbacks.clear();
  });
  return callbacks;
}
