/** Connections to Redis or Valkey; the packages for it are optional. */
import type * as BullMq from "bullmq";
import type { Redis } from "ioredis";
import { SluiceError } from "../errors.ts";
import type { QueueAddress } from "./address.ts";

/** @throws SluiceError `not_found` if the packages are not installed */
export async function queuePackages(): Promise<{ readonly bullmq: typeof BullMq; readonly Client: typeof Redis }> {
  try {
    const [bullmq, ioredis] = await Promise.all([import("bullmq"), import("ioredis")]);
    return { bullmq, Client: ioredis.Redis };
  } catch (cause) {
    throw new SluiceError("not_found", "Queues need the packages bullmq and ioredis, which are not installed", {
      hint: "Install them: npm install bullmq ioredis",
      cause,
    });
  }
}

/**
 * Connects, and connects again whenever the server was lost.
 * @param onLost called when it is lost, and once it is back
 * @throws SluiceError `queue` if there is no server, or if it refuses
 */
export async function connect(
  Client: typeof Redis,
  { target, shown }: QueueAddress,
  onLost: (isLost: boolean) => void,
): Promise<Redis> {
  let wasReady = false;
  let isLost = false;
  let reason: Error | undefined;
  const options = {
    // BullMQ waits for what blocks.
    maxRetriesPerRequest: null,
    lazyConnect: true,
    retryStrategy: (times: number) => (wasReady ? Math.min(200 * times, 2000) : null),
  };
  const client = "path" in target ? new Client({ ...options, ...target }) : new Client(target.url, options);
  client.on("error", (error: Error) => {
    reason ??= error;
  });
  client.on("close", () => {
    if (!wasReady || isLost) return;
    isLost = true;
    onLost(true);
  });
  client.on("ready", () => {
    wasReady = true;
    if (!isLost) return;
    isLost = false;
    onLost(false);
  });
  try {
    await client.connect();
    await client.ping();
  } catch (thrown) {
    client.disconnect();
    const { message, code } = (reason ?? thrown) as NodeJS.ErrnoException;
    const fault = message || code || "no answer";
    throw new SluiceError("queue", `The queue at ${shown} cannot be reached: ${fault}`, {
      hint: "Is Redis or Valkey running there, and are the user and password right?",
      cause: thrown,
    });
  }
  return client;
}

/** Ends a connection for good. */
export function disconnect(client: Redis): void {
  client.removeAllListeners("close");
  client.disconnect();
}

/** Deletes BullMQ's own keys, if nothing is queued and nobody works. */
export async function tidy(client: Redis, queue: BullMq.Queue, workersLeft: number): Promise<void> {
  const counts = await queue.getJobCounts();
  const [busy, workers] = [Object.values(counts).some((count) => count > 0), await queue.getWorkersCount()];
  if (busy || workers > workersLeft) return;
  await client.del(...["meta", "events", "id", "marker", "stalled-check", "stalled"].map((key) => queue.toKey(key)));
}
