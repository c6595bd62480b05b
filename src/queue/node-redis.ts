/** Connections to Redis or Valkey; the packages for it are optional. */
import type * as BullMq from "bullmq";
import type { Redis } from "ioredis";
import { SluiceError } from "../errors.ts";
import { showSentence, showText } from "../show.ts";
import { PASSWORD_VARIABLE, type QueueAddress, withoutPasswords } from "./address.ts";

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

/** Needed for what the queue does; older ones lack GETDEL. */
const LEAST_VERSION = [6, 2] as const;

/**
 * Connects, and connects again whenever the server was lost.
 * @param onNote called when it is lost and once it is back, and with what may go wrong
 * @throws SluiceError `queue` if there is no server, if it refuses, or if it is too old
 */
export async function connect(
  Client: typeof Redis,
  { target, shown }: QueueAddress,
  onNote: (text: string) => void,
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
    onNote(`the queue at ${shown} was lost; waiting for it`);
  });
  client.on("ready", () => {
    wasReady = true;
    if (!isLost) return;
    isLost = false;
    onNote(`the queue at ${shown} is back`);
  });
  try {
    await client.connect();
    checkServer(await client.info(), shown, onNote);
  } catch (thrown) {
    disconnect(client);
    throw thrown instanceof SluiceError ? thrown : unreachable(shown, reason ?? thrown);
  }
  return client;
}

/** @param info what INFO says */
function checkServer(info: string, shown: string, onNote: (text: string) => void): void {
  const told = (key: string): string | undefined => new RegExp(`^${key}:(.*?)\r?$`, "m").exec(info)?.[1];
  const version = told("redis_version") ?? "";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < LEAST_VERSION[0] || (major === LEAST_VERSION[0] && minor < LEAST_VERSION[1])) {
    throw new SluiceError("queue", `The queue at ${shown} is Redis ${showText(version)}, which is too old`, {
      hint: `Use Redis ${LEAST_VERSION.join(".")} or later, or Valkey.`,
    });
  }
  const policy = told("maxmemory_policy") ?? "noeviction";
  if (policy === "noeviction" || told("maxmemory") === "0") return;
  onNote(`the queue at ${shown} drops keys when its memory is full; set its maxmemory-policy to noeviction`);
}

/** What a server says of users and passwords, in its own words, and what to do then. */
const REFUSALS: readonly (readonly [answer: RegExp, fault: string, hint: string])[] = [
  [
    /NOAUTH/,
    "needs a password",
    `Set ${PASSWORD_VARIABLE}, or write redis://:PASSWORD@HOST:PORT or redis://USER:PASSWORD@HOST:PORT.`,
  ],
  [/WRONGPASS|invalid password|without any password/, "refuses the user or password", "Are they right?"],
  [/NOPERM/, "does not let this user do what queues need", "Give the user all commands and keys: +@all ~*."],
  [
    /self.signed|unable to (?:verify|get)|certificate|altnames/i,
    "has a certificate that Node does not trust",
    "Name its authority: NODE_EXTRA_CA_CERTS=FILE.pem sluice …",
  ],
];

/** Characters of an answer that are shown. */
const MOST_ANSWER = 200;

function unreachable(shown: string, error: unknown): SluiceError {
  const { message, code } = error as NodeJS.ErrnoException;
  const fault = showSentence(withoutPasswords(message || code || "no answer"), MOST_ANSWER);
  const [, refusal, hint] = REFUSALS.find(([answer]) => answer.test(fault)) ?? [];
  return new SluiceError("queue", `The queue at ${shown} ${refusal ?? "cannot be reached"}: ${fault}`, {
    hint: hint ?? "Is Redis or Valkey running there? Write rediss:// if it expects TLS.",
    cause: error,
  });
}

/** What a server that is there, and answers a command with an error, means for a job. */
export function refusedBy(shown: string, error: unknown): unknown {
  const { name, message } = error as Error;
  if (name !== "ReplyError") return error;
  const isFull = /\bOOM\b/.test(message);
  return new SluiceError(
    "queue",
    `The queue at ${shown} ${isFull ? "is out of memory" : "refused"}: ${showSentence(message, MOST_ANSWER)}`,
    {
      ...(isFull && { hint: "Raise its maxmemory; a job's shards and results lie there until they are collected." }),
      cause: error,
    },
  );
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
