/** The computing end of a queue: takes shards of any kind, one after another, until it is told to stop. */
import type { Job } from "bullmq";
import type { Redis } from "ioredis";
import { SluiceError } from "../errors.ts";
import type { Stage } from "../interventions/stage.ts";
import type { Model } from "../model/model.ts";
import { showSentence, showText } from "../show.ts";
import type { QueueAddress } from "./address.ts";
import { KeptModel, type OpenModel } from "./kept-model.ts";
import { kindNamed } from "./kinds.ts";
import {
  ATTEMPTS,
  BULLMQ,
  computerOf,
  type JobModel,
  keysOf,
  PREFIX,
  QUEUE_NAME,
  RESULT_SECONDS,
  type ShardMessage,
  type ShardResult,
} from "./messages.ts";
import { openLeaseHolder } from "./node-lease.ts";
import { connect, disconnect, queuePackages, tidy } from "./node-redis.ts";
import { fromBytes, toBytes } from "./wire.ts";

/** Options of {@link openWorker}. */
export interface WorkerOptions {
  readonly address: QueueAddress;
  /** Names it in messages. */
  readonly name: string;
  /** Shards at a time. */
  readonly concurrency: number;
  /** Milliseconds without a sign of this worker after which another takes its shard. */
  readonly leaseMs: number;
  readonly open: OpenModel;
  /** Called with what it does. */
  onNote(text: string): void;
}

/** A worker at work. */
export interface RunningWorker {
  /** Finishes the shards under way and takes no others. */
  drain(): Promise<void>;
}

/** Characters of an error that are shown. */
const MOST_REASON = 500;
/** Between two reports of a shard's progress. */
const REPORT_MS = 500;

/** @throws SluiceError `not_found` without the packages, `queue` if the queue cannot be reached */
export async function openWorker(options: WorkerOptions): Promise<RunningWorker> {
  const { address, name, concurrency, leaseMs, onNote } = options;
  const { bullmq, Client } = await queuePackages();
  const client = await connect(Client, address, onNote);
  const kept = new KeptModel(options.open);
  const leases = await openLeaseHolder(address, leaseMs);
  const keyOf = (id: string | undefined): string => `${PREFIX}:${QUEUE_NAME}:${id}:lock`;
  const work = async (job: Job<ShardMessage>, token = ""): Promise<"done" | "gone"> => {
    leases.hold(keyOf(job.id), token);
    try {
      return await compute(job, client, kept, options);
    } finally {
      leases.release(keyOf(job.id));
    }
  };
  const worker = new bullmq.Worker<ShardMessage>(QUEUE_NAME, work, {
    ...BULLMQ,
    connection: client,
    name,
    concurrency,
    lockDuration: leaseMs,
    // Checks take turns with renewals, which come twice per lease.
    stalledInterval: leaseMs / 2,
    // A shard whose workers die counts as one that fails.
    maxStalledCount: ATTEMPTS - 1,
    drainDelay: 2,
  });
  // What a lost server means is reported above; a lost lease means that another worker has the shard.
  worker.on("error", ({ message }) => {
    if (/renew lock|Missing lock/.test(message))
      onNote(`a shard was taken over by another worker (${showSentence(message, MOST_REASON)})`);
  });
  worker.on("failed", (job, { message }) => {
    if (job) onNote(`failed ${showText(job.data.label)}: ${showSentence(message.split("\n")[0] ?? "", MOST_REASON)}`);
  });
  await worker.waitUntilReady();
  return {
    async drain() {
      await worker.close();
      await leases.close();
      await kept.dispose();
      if (client.status === "ready") {
        const queue = new bullmq.Queue<ShardMessage>(QUEUE_NAME, { ...BULLMQ, connection: client });
        queue.on("error", () => undefined);
        await tidy(client, queue, 0);
        await queue.close();
      }
      disconnect(client);
    },
  };
}

/** Computes a shard and leaves its result where the submitter takes it. A shard whose submitter has gone is left alone. */
async function compute(
  job: Job<ShardMessage>,
  client: Redis,
  kept: KeptModel,
  { name, onNote }: WorkerOptions,
): Promise<"done" | "gone"> {
  const { job: id, index, kind: called, edit } = job.data;
  // Whoever can write to the queue chose them.
  const [label, shownId] = [showText(job.data.label), showText(id)];
  const keys = keysOf(id);
  const [about, input, stages] = await Promise.all([
    client.getBuffer(keys.about),
    client.getBuffer(keys.input(index)),
    edit === null ? null : client.getBuffer(keys.edit(edit)),
  ]);
  if (!about || !input || (edit !== null && !stages)) return "gone";
  const kind = kindNamed(called);
  if (!kind) throw new SluiceError("queue", `The worker ${name} knows no shards of the kind ${showText(called)}`);
  onNote(`took ${label} of job ${shownId} (try ${job.attemptsMade + 1})`);
  const begun = performance.now();
  const abort = new AbortController();
  let toldAt = begun;
  const tell = async (done: number): Promise<void> => {
    if (!(await client.exists(keys.about))) abort.abort();
    else await job.updateProgress(done);
  };
  const onProgress = (done: number): void => {
    if (performance.now() - toldAt < REPORT_MS) return;
    toldAt = performance.now();
    // A report that is lost with the server is followed by others.
    tell(done).catch(() => undefined);
  };
  const result = await kept
    .with(fromBytes(about) as JobModel, async (model, left): Promise<ShardResult> => {
      const acting = stages ? edited(model, fromBytes(stages) as readonly Stage[]) : model;
      const output = await kind.run(acting, fromBytes(input), { signal: abort.signal, onProgress, kept: left });
      return { by: computerOf(name, model.device), output };
    })
    .catch((error: unknown) => {
      if (abort.signal.aborted) return null;
      throw error;
    });
  if (!result || !(await client.exists(keys.about))) {
    onNote(`left ${label}: job ${shownId} was cancelled`);
    return "gone";
  }
  await client.set(keys.result(index), Buffer.from(toBytes(result)), "EX", RESULT_SECONDS);
  onNote(`finished ${label} in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  return "done";
}

function edited(model: Model, stages: readonly Stage[]): Model {
  return model.withStages({ stages, warnings: [] });
}
