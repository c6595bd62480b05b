/**
 * Holds the leases of shards under way from a thread of its own. Compiling kernels can keep the main thread busy for longer
 * than a lease; the shard would be given to another worker as if this one had died.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { QueueAddress } from "./address.ts";

/**
 * What the thread runs: it extends every lease that is still this worker's. It is text, since the package's modules are
 * bundled; it ends with the process, also with one that is killed.
 */
const THREAD = `
const { parentPort, workerData } = require("node:worker_threads");
const { packageUrl, target, leaseMs } = workerData;
const leases = new Map();
parentPort.on("message", ({ key, token }) => (token === null ? leases.delete(key) : leases.set(key, token)));
import(packageUrl).then(({ Redis }) => {
  const options = { maxRetriesPerRequest: null };
  const client = "path" in target ? new Redis({ ...options, ...target }) : new Redis(target.url, options);
  client.on("error", () => undefined);
  client.once("ready", () => parentPort.postMessage("ready"));
  setInterval(async () => {
    for (const [key, token] of leases) if ((await client.get(key)) === token) await client.pexpire(key, leaseMs);
  }, leaseMs / 3);
});
`;

/** Keeps leases alive while the main thread is busy. */
export interface LeaseHolder {
  /** Holds the lease under a key, as long as it has this token. */
  hold(key: string, token: string): void;
  release(key: string): void;
  close(): Promise<void>;
}

/** Resolves when the thread can hold leases: the first shard may already block the main thread. */
export async function openLeaseHolder({ target }: QueueAddress, leaseMs: number): Promise<LeaseHolder> {
  const packageUrl = import.meta.resolve("ioredis");
  const thread = new Worker(THREAD, { eval: true, workerData: { packageUrl, target, leaseMs } });
  // Without the thread, BullMQ's own renewals remain.
  const failed = new Promise<void>((resolve) => thread.on("error", () => resolve()));
  await Promise.race([once(thread, "message"), failed]);
  thread.unref();
  return {
    hold: (key, token) => thread.postMessage({ key, token }),
    release: (key) => thread.postMessage({ key, token: null }),
    async close() {
      await thread.terminate();
    },
  };
}
