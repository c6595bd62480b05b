/** One page at a time: Web Locks, which a page that is closed lets go of. */
import { throwIfAborted } from "../errors.ts";

/**
 * @param onWait called once if another page has it
 * @returns what lets it go
 * @throws SluiceError `aborted`
 */
export async function takeLock(name: string, signal: AbortSignal | undefined, onWait: () => void): Promise<() => void> {
  const { locks } = navigator;
  // Pages without secure addresses have none, nor a storage that they could share.
  if (!locks) return () => undefined;
  const free = await request(locks, name, { ifAvailable: true });
  if (free) return free;
  onWait();
  try {
    return (await request(locks, name, signal ? { signal } : {})) as () => void;
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  }
}

/** Null if it is not available. */
function request(locks: LockManager, name: string, options: LockOptions): Promise<(() => void) | null> {
  return new Promise((resolve, reject) => {
    locks
      .request(name, options, (lock) => {
        if (!lock) return resolve(null);
        return new Promise<void>((release) => resolve(release));
      })
      .catch(reject);
  });
}
