/** The submitting end of a queue: puts a job's shards into it and hands out their results in order. */
import { createHash, randomBytes } from "node:crypto";
import type { Job, Queue, QueueEvents } from "bullmq";
import type { Redis } from "ioredis";
import { SluiceError } from "../errors.ts";
import type { Shard, ShardCall, ShardKind, ShardRunner } from "../shards/shards.ts";
import { showSentence, showText } from "../show.ts";
import type { QueueAddress } from "./address.ts";
import {
  ATTEMPTS,
  BULLMQ,
  type Computer,
  JOB_SECONDS,
  type JobModel,
  keysOf,
  QUEUE_NAME,
  type ShardMessage,
  type ShardResult,
} from "./messages.ts";
import { connect, disconnect, queuePackages, refusedBy, tidy } from "./node-redis.ts";
import { SameKind } from "./same-kind.ts";
import { fromBytes, toBytes } from "./wire.ts";

/** What a submitter gives. */
export interface QueueOptions {
  readonly address: QueueAddress;
  readonly model: JobModel;
  /** Called with what a user should know. */
  onNote(text: string): void;
  /** Called with whoever computed the first result, before it is handed out; an error ends the job. */
  onComputer?: ((by: Computer) => Promise<void>) | undefined;
}

/** A runner whose shards are computed by the workers of a queue. */
export interface QueueRunner extends ShardRunner {
  /** Removes what is left of the job, and disconnects. */
  close(): Promise<void>;
}

/** Shards that wait or run at a time: jobs that share workers take turns, and the server holds no more than these. */
const MOST_OUTSTANDING = 64;
/** Between two looks at shards that nothing was heard of. */
const LOOK_MS = 2000;
/** How long nobody may work before a note says so. */
const LONELY_MS = 5000;
/** How often a shard may be lost with what it works on. A server that restarts empty does it once. */
const MOST_LOSSES = 5;

/** @throws SluiceError `not_found` without the packages, `queue` if it cannot be reached */
export async function openQueue({ address, model, onNote, onComputer }: QueueOptions): Promise<QueueRunner> {
  const { bullmq, Client } = await queuePackages();
  const client = await connect(Client, address, onNote);
  const options = { connection: client, ...BULLMQ };
  const queue = new bullmq.Queue<ShardMessage>(QUEUE_NAME, { ...options, streams: { events: { maxLen: 1000 } } });
  const events = new bullmq.QueueEvents(QUEUE_NAME, options);
  // The connection's own listener reports what is lost, once.
  queue.on("error", () => undefined);
  events.on("error", () => undefined);
  await events.waitUntilReady();
  const sameKind = new SameKind();
  const accept = async (by: Computer): Promise<void> => {
    if (sameKind.accept(by)) await onComputer?.(by);
  };
  const around: Surroundings = { client, queue, events, shown: address.shown, model, onNote, accept };
  const jobs = new Set<SubmittedJob>();
  return {
    async *run(kind, shards, call) {
      const job = new SubmittedJob(around);
      jobs.add(job);
      yield* job.run(kind, shards, call);
      jobs.delete(job);
    },
    async close() {
      // A server that is gone holds nothing that could be removed.
      if (client.status === "ready") {
        for (const job of jobs) await job.remove();
        await tidy(client, queue, 0);
      }
      await events.close();
      await queue.close();
      disconnect(client);
    },
  };
}

interface Surroundings {
  readonly client: Redis;
  readonly queue: Queue<ShardMessage>;
  readonly events: QueueEvents;
  readonly shown: string;
  readonly model: JobModel;
  onNote(text: string): void;
  /** @throws SluiceError `queue` for a result that must not be mixed with others */
  accept(by: Computer): Promise<void>;
}

/** The shards of one call. */
class SubmittedJob {
  readonly #around: Surroundings;
  readonly #id = randomBytes(6).toString("hex");
  readonly #keys = keysOf(this.#id);
  /** Interventions that the server has. */
  readonly #edits = new Set<string>();
  /** Shards that were submitted and have no result, with how much of each is done. */
  readonly #outstanding = new Map<number, number>();
  /** Results that wait for earlier ones. */
  readonly #results = new Map<number, unknown>();
  /** How often each shard was lost. */
  readonly #losses = new Map<number, number>();
  /** Shards that something was heard of. */
  readonly #heard = new Set<number>();
  readonly #failures: string[] = [];
  #submitted = 0;
  #wake: () => void = () => undefined;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  async *run<Input, Output>(
    kind: ShardKind<Input, Output>,
    shards: readonly Shard<Input>[],
    { signal, onProgress }: ShardCall,
  ): AsyncGenerator<Output> {
    const { client, events } = this.#around;
    const onHeard = ({ jobId }: { readonly jobId: string }): void => this.#hear(jobId);
    const onPart = ({ jobId, data }: { readonly jobId: string; readonly data: unknown }): void => {
      const index = this.#indexOf(jobId);
      if (index === undefined || typeof data !== "number" || !this.#outstanding.has(index)) return;
      this.#outstanding.set(index, data);
      this.#wake();
    };
    const onAbort = (): void => {
      // Commands would wait for a server that is gone.
      if (client.status !== "ready") disconnect(client);
      this.#wake();
    };
    events.on("completed", onHeard).on("failed", onHeard).on("progress", onPart);
    signal?.addEventListener("abort", onAbort);
    const begun = performance.now();
    let isLonely = false;
    let finished = 0;
    let lookedAt = begun;
    try {
      for (let next = 0; next < shards.length; ) {
        while (this.#submitted < shards.length && this.#submitted < next + MOST_OUTSTANDING) {
          const index = this.#submitted++;
          this.#outstanding.set(index, 0);
          await this.#submit(kind, shards, index);
        }
        if (signal?.aborted) throw this.#aborted(shards.length - this.#outstanding.size, shards.length, signal.reason);
        const heard = [...this.#heard];
        this.#heard.clear();
        const isDue = performance.now() - lookedAt >= LOOK_MS;
        if (isDue) lookedAt = performance.now();
        for (const index of isDue ? this.#outstanding.keys() : heard) {
          if (await this.#collect(kind, shards, index)) finished += kind.amount((shards[index] as Shard<Input>).input);
        }
        if (this.#failures.length > 0) throw this.#failed(kind);
        let parts = 0;
        for (const done of this.#outstanding.values()) parts += done;
        onProgress?.(finished + parts);
        for (; this.#results.has(next); next++) {
          yield this.#results.get(next) as Output;
          this.#results.delete(next);
        }
        if (next === shards.length) return;
        if (!isLonely && finished + parts === 0 && performance.now() - begun > LONELY_MS) {
          isLonely = true;
          await this.#noteLonely();
        }
        if (this.#heard.size === 0) await this.#wait();
      }
    } catch (error) {
      if (error instanceof SluiceError) throw error;
      if (signal?.aborted) throw new SluiceError("aborted", "The operation was aborted", { cause: error });
      throw refusedBy(this.#around.shown, error);
    } finally {
      events.off("completed", onHeard).off("failed", onHeard).off("progress", onPart);
      signal?.removeEventListener("abort", onAbort);
      await this.remove();
    }
  }

  /** Removes what the server holds of the job. Workers that are at a shard of it notice. */
  async remove(): Promise<void> {
    const { client, queue } = this.#around;
    if (client.status !== "ready") return;
    const indices = Array.from({ length: this.#submitted }, (_, index) => index);
    const keys = indices.flatMap((index) => [this.#keys.input(index), this.#keys.result(index)]);
    await client.del(this.#keys.about, ...[...this.#edits].map(this.#keys.edit), ...keys);
    for (const index of this.#outstanding.keys()) {
      // One that a worker is at cannot be removed, and removes itself when it ends.
      await queue.remove(this.#jobId(index)).catch(() => 0);
    }
    this.#outstanding.clear();
  }

  /** Puts a shard into the queue, with all that it works on. */
  async #submit<Input, Output>(
    kind: ShardKind<Input, Output>,
    shards: readonly Shard<Input>[],
    index: number,
  ): Promise<void> {
    const { client, queue, model: about } = this.#around;
    const { model, input, label } = shards[index] as Shard<Input>;
    const edit = await this.#send(model);
    await client.set(this.#keys.about, Buffer.from(toBytes(about)), "EX", JOB_SECONDS);
    await client.set(this.#keys.input(index), Buffer.from(toBytes(input)), "EX", JOB_SECONDS);
    const message: ShardMessage = { job: this.#id, index, label, kind: kind.name, edit };
    await queue.add(kind.name, message, {
      jobId: this.#jobId(index),
      attempts: ATTEMPTS,
      backoff: { type: "fixed", delay: 500 },
      removeOnComplete: true,
      removeOnFail: { age: RETAINED_SECONDS },
    });
  }

  /** Sends a model's interventions, once. @returns their digest */
  async #send({ stages }: Shard<unknown>["model"]): Promise<string | null> {
    if (stages.length === 0) return null;
    const bytes = Buffer.from(toBytes(stages));
    const digest = createHash("sha256").update(bytes).digest("hex");
    const key = this.#keys.edit(digest);
    if (this.#edits.has(digest)) await this.#around.client.expire(key, JOB_SECONDS);
    else await this.#around.client.set(key, bytes, "EX", JOB_SECONDS);
    this.#edits.add(digest);
    return digest;
  }

  /** Takes a shard's result, if it is there. A shard that the server has lost is submitted again. @returns whether it is done */
  async #collect<Input, Output>(
    kind: ShardKind<Input, Output>,
    shards: readonly Shard<Input>[],
    index: number,
  ): Promise<boolean> {
    if (!this.#outstanding.has(index)) return false;
    const { queue } = this.#around;
    if (await this.#take(index)) return true;
    const job: Job<ShardMessage> | undefined = await queue.getJob(this.#jobId(index));
    if (job && (await job.isFailed())) {
      this.#outstanding.delete(index);
      const { label } = shards[index] as Shard<Input>;
      const reason = showSentence(job.failedReason.split("\n")[0] ?? "", MOST_REASON);
      const worker = showText(job.processedBy ?? "unknown");
      this.#failures.push(`${label}: ${reason} (worker ${worker}, tried ${ATTEMPTS} times)`);
      await job.remove();
    } else if (!job) {
      // It may have ended between the two looks.
      if (await this.#take(index)) return true;
      const losses = (this.#losses.get(index) ?? 0) + 1;
      this.#losses.set(index, losses);
      if (losses > MOST_LOSSES) throw this.#lost((shards[index] as Shard<Input>).label, losses);
      this.#edits.clear();
      this.#outstanding.set(index, 0);
      await this.#submit(kind, shards, index);
    }
    return false;
  }

  async #take(index: number): Promise<boolean> {
    const bytes = await this.#around.client.getdelBuffer(this.#keys.result(index));
    if (!bytes) return false;
    const { by, output } = fromBytes(bytes) as ShardResult;
    await this.#around.accept(by);
    this.#outstanding.delete(index);
    this.#results.set(index, output);
    return true;
  }

  /** Until something is heard, at most for the time between two looks. */
  async #wait(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LOOK_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => undefined;
    const { client } = this.#around;
    if (client.status !== "ready") return;
    // They would expire while workers are at other jobs.
    const keys = [...this.#outstanding.keys()].map(this.#keys.input);
    const all = [this.#keys.about, ...[...this.#edits].map(this.#keys.edit), ...keys];
    const pipeline = client.pipeline();
    for (const key of all) pipeline.expire(key, JOB_SECONDS);
    await pipeline.exec();
  }

  #hear(jobId: string): void {
    const index = this.#indexOf(jobId);
    if (index === undefined) return;
    this.#heard.add(index);
    this.#wake();
  }

  #jobId(index: number): string {
    return `${this.#id}-${index}`;
  }

  #indexOf(jobId: string): number | undefined {
    const [id, index] = jobId.split("-");
    return id === this.#id ? Number(index) : undefined;
  }

  async #noteLonely(): Promise<void> {
    const { queue, shown, onNote } = this.#around;
    if ((await queue.getWorkersCount()) > 0) return;
    onNote(`no worker of this version takes shards at ${shown}; start some: sluice worker --queue ADDRESS`);
  }

  #failed({ name }: { readonly name: string }): SluiceError {
    const [first = "", ...others] = this.#failures;
    const lines = others.map((line) => `\n  ${line}`).join("");
    return new SluiceError("queue", `Workers could not compute ${first}${lines}`, {
      hint: `The other shards (${name}) were removed from the queue; nothing was written.`,
    });
  }

  #lost(label: string, losses: number): SluiceError {
    return new SluiceError("queue", `The queue at ${this.#around.shown} lost ${label} ${losses} times`, {
      hint: "Does something delete its keys, or is its memory full? Redis must have maxmemory-policy noeviction.",
    });
  }

  #aborted(done: number, all: number, cause: unknown): SluiceError {
    const { onNote, shown } = this.#around;
    onNote(`${all - done} of ${all} shards were removed from the queue at ${shown}`);
    return new SluiceError("aborted", "The operation was aborted", { cause });
  }
}

/** Characters of a worker's error. */
const MOST_REASON = 500;
/** How long BullMQ remembers a failed shard that no submitter takes. */
const RETAINED_SECONDS = 3600;
