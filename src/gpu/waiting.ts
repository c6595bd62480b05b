/**
 * Waiting for the GPU without spinning.
 *
 * Dawn for Node asks for finished work once every turn of the event loop (`setImmediate`) for as long as one of its
 * promises is open. That burns a core and leaves garbage behind at 20 MB a second; where the GPU is a software one, the
 * core is the GPU's. There is no other way to be told, so the turns are spaced out: Dawn looks `setImmediate` up
 * whenever it asks for a turn, which happens inside our call or inside its own turn, and there alone it finds another.
 */

/** Short work is awaited at full attention; after this long, once a millisecond. */
const ATTENTIVE_MS = 2;

type Turn = (...args: unknown[]) => void;

/** Calls `begin`, whose promise is one of the GPU's, and spaces out the turns that are taken until it settles. */
export function unhurried<Result>(begin: () => Promise<Result>): Promise<Result> {
  const host = globalThis as { setImmediate?: ((turn: Turn, ...args: unknown[]) => unknown) | undefined };
  const immediately = host.setImmediate;
  // Pages have none, and need none: there the browser's GPU process calls back.
  if (!immediately) return begin();
  const started = performance.now();

  const spaced = <Value>(work: () => Value): Value => {
    const before = host.setImmediate;
    host.setImmediate = (turn, ...args) => {
      const next = () => spaced(() => turn(...args));
      return performance.now() - started < ATTENTIVE_MS ? immediately(next) : setTimeout(next, 1);
    };
    try {
      return work();
    } finally {
      host.setImmediate = before;
    }
  };
  return spaced(begin);
}
