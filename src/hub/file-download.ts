/** One file on its way into the store: continued where an earlier download ended, readable as it comes, verified at its end. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import { MAX_TEXT_BYTES, tooLarge } from "../formats/source.ts";
import { joined } from "../formats/url-answer.ts";
import { pause, TransientFailure } from "../formats/url-fetch.ts";
import { onAbort } from "../on-abort.ts";
import type { FileBody, HubClient } from "./client.ts";
import { ContentDigest } from "./digest.ts";
import type { Metered } from "./progress.ts";
import type { HubFile } from "./repo-files.ts";
import type { HubStore, PartialFile } from "./store.ts";
import type { Turns } from "./turns.ts";

/** What all downloads of a model have in common. */
export interface DownloadContext {
  readonly client: HubClient;
  readonly store: HubStore;
  readonly repo: string;
  /** What file addresses name: the commit, or a branch. */
  readonly address: string;
  readonly commit: string;
  readonly signal: AbortSignal;
  /** Connections that may be open at a time. */
  readonly turns: Turns;
  /** Whether a connection stays open while nothing more is wanted of its file for now. */
  readonly holdsOpen: boolean;
  /** Called when bytes have come. */
  onBytes(): void;
  /** Receives notices for the user. */
  note(text: string): void;
}

/** Bytes handed to the store at a time: fewer would cost more in calls than in copying. */
const WRITE_BYTES = 1 << 20;
/** Milliseconds after which less is handed over, so that little is lost when all ends suddenly. */
const WRITE_MS = 250;
/** Bytes of what an earlier download brought that are read at a time. */
const READ_BYTES = 4 << 20;

/** What a connection must have brought for the next attempts to count anew; or a thousandth of the file. */
const MUCH_BYTES = 64 << 10;
/** What a file may have whose length neither the hub nor the server says. */
const MOST_UNANNOUNCED = MAX_TEXT_BYTES;

/** Somebody who waits for bytes up to `end`. */
interface Waiter {
  readonly end: number;
  resolve(): void;
  reject(error: unknown): void;
}

export class FileDownload implements Metered {
  readonly path: string;
  /** Bytes that are in the store. */
  done = 0;
  /** Those that an earlier download had brought. */
  kept = 0;
  /** Bytes of the file; null until the hub or the server has said. */
  size: number | null;
  readonly #file: HubFile;
  readonly #context: DownloadContext;
  readonly #waiters = new Set<Waiter>();
  /** Bytes that may be fetched. */
  #wanted: number;
  #wantMore: () => void = () => undefined;
  #partial: PartialFile | null = null;
  #isWhole = false;
  #running: Promise<void> | null = null;

  /** @param head bytes to fetch before more is wanted */
  constructor(file: HubFile, context: DownloadContext, head = Number.POSITIVE_INFINITY) {
    this.path = file.path;
    this.size = file.size;
    this.#file = file;
    this.#context = context;
    this.#wanted = head;
  }

  /** Whether the file is in the store, verified. */
  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** Begins, once. Resolves when the file is in the store. */
  run(): Promise<void> {
    if (!this.#running) {
      this.#running = this.#run();
      // Whoever waits for it is told; nobody may.
      this.#running.catch(() => undefined);
    }
    return this.#running;
  }

  /** Allows bytes up to `end` to be fetched. */
  want(end: number): void {
    if (end <= this.#wanted) return;
    this.#wanted = end;
    this.#wantMore();
  }

  /** Waits until bytes up to `end` can be read, or the file is there as a whole. */
  async available(end: number): Promise<void> {
    this.want(end);
    const running = this.run();
    if (this.#isWhole || this.#readable >= end) return;
    await new Promise<void>((resolve, reject) => {
      const waiter = { end, resolve, reject };
      this.#waiters.add(waiter);
      running.then(resolve, reject).finally(() => this.#waiters.delete(waiter));
    });
  }

  /** The length of the file, if need be from its first answer. */
  async length(): Promise<number> {
    if (this.size === null) await this.available(1);
    return this.size ?? this.done;
  }

  /** Bytes that are {@link available}, from what is being written; null if they are in the store as a file. */
  async read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer> | null> {
    try {
      return this.#partial ? await this.#partial.read(begin, end) : null;
    } catch (error) {
      // It was thrown away in between: its readers are told why.
      await this.run();
      throw error;
    }
  }

  /** Ends the work on it; what has come stays. The signal of the context ends the download itself. */
  async close(): Promise<void> {
    await this.#running?.catch(() => undefined);
    const partial = this.#partial;
    this.#partial = null;
    await partial?.close();
  }

  /** What an earlier download left is read when it is verified: it may be anything. */
  get #readable(): number {
    return this.kept > 0 && !this.#isWhole ? 0 : this.done;
  }

  get #where(): string {
    const { client, repo, commit } = this.#context;
    return client.describe({ repo, commit, path: this.path });
  }

  async #run(): Promise<void> {
    const { store, repo, commit, signal, note } = this.#context;
    const file = { repo, commit, path: this.path, etag: this.#file.etag };
    for (;;) {
      throwIfAborted(signal);
      const waits = (): void => note(`Another process is downloading ${this.#where}; waiting for it`);
      const partial = await store.openPartial(file, signal, waits);
      if (partial) return this.#fetchInto(partial);
      if (await store.link(file)) return this.#finish(null);
      // It was removed in between.
    }
  }

  async #fetchInto(partial: PartialFile): Promise<void> {
    this.#partial = partial;
    try {
      const digest = new ContentDigest(this.#file);
      await this.#begin(partial, digest);
      const isContinued = partial.size > 0;
      await this.#fetchRest(partial, digest);
      if (!(await this.#settle(partial, digest, !isContinued))) {
        // What an earlier download left may have been wrong; what comes now is one whole.
        await this.#fetchRest(partial, digest);
        await this.#settle(partial, digest, true);
      }
      this.#finish(partial);
    } catch (error) {
      this.#partial = null;
      await partial.close();
      throw error;
    }
  }

  /** Takes over what an earlier download brought. */
  async #begin(partial: PartialFile, digest: ContentDigest): Promise<void> {
    await digest.start();
    if (this.size !== null && partial.size > this.size) await partial.restart();
    for (let at = 0; at < partial.size; at += READ_BYTES) {
      throwIfAborted(this.#context.signal);
      digest.add(await partial.read(at, Math.min(partial.size, at + READ_BYTES)));
    }
    this.kept = partial.size;
    if (this.kept > 0) this.want(Number.POSITIVE_INFINITY);
    this.#advance(partial.size);
  }

  /** Verifies and commits. @returns false if it was wrong and is to be fetched anew */
  async #settle(partial: PartialFile, digest: ContentDigest, isLastTry: boolean): Promise<boolean> {
    const { note } = this.#context;
    const { isRight, why } = await digest.verdict(() => partial.read(0, partial.size));
    if (isRight) {
      await partial.commit();
      return true;
    }
    await partial.restart();
    await digest.start();
    this.done = 0;
    this.kept = 0;
    if (isLastTry) {
      throw new SluiceError("bad_file", `${this.#where} is not what the hub says it is, and was thrown away: ${why}`, {
        hint: "Try again. If it happens again, something on the way to the hub changes files.",
      });
    }
    note(`What was left of an earlier download of ${this.#where} was wrong; it is fetched again`);
    return false;
  }

  /** Fetches what is missing, through interruptions. */
  async #fetchRest(partial: PartialFile, digest: ContentDigest): Promise<void> {
    const { client, signal, turns } = this.#context;
    const { retryDelaysMs } = client.access;
    let attempt = 0;
    while (this.size === null || partial.size < this.size) {
      const before = partial.size;
      try {
        await this.#untilWanted();
        if (await turns.take(() => this.#fetchOnce(partial, digest))) return;
      } catch (error) {
        if (!(error instanceof TransientFailure)) throw error;
        // A server that gives a byte per connection would go on forever.
        const much = this.size === null ? MUCH_BYTES : Math.min(MUCH_BYTES, this.size / 1000);
        if (partial.size - before >= much) attempt = 0;
        const delay = retryDelaysMs[attempt];
        if (delay === undefined) throw error.report;
        client.tellRetry(error.message, attempt++);
        await pause(Math.max(delay, error.afterMs), signal);
      }
    }
  }

  /**
   * One request, and what comes of it.
   * @returns whether the file is there as a whole
   * @throws TransientFailure if it ended early
   */
  async #fetchOnce(partial: PartialFile, digest: ContentDigest): Promise<boolean> {
    const { client, repo, address, signal } = this.#context;
    const body = await client.open({ repo, commit: address, path: this.path }, partial.size, signal);
    this.#learnSize(body);
    digest.learn(body.etag);
    const parts: Uint8Array[] = [];
    let held = 0;
    let writtenAt = performance.now();
    const isDue = (): boolean => held >= WRITE_BYTES || performance.now() - writtenAt >= WRITE_MS;
    const write = async (): Promise<void> => {
      writtenAt = performance.now();
      if (held === 0) return;
      const bytes = joined(parts.splice(0), held);
      held = 0;
      await partial.append(bytes);
      digest.add(bytes);
      this.#advance(partial.size);
    };
    let at = body.begin;
    try {
      for await (const chunk of body.chunks) {
        // A server without ranges sends what is there already once more.
        const fresh = chunk.subarray(Math.min(chunk.length, Math.max(0, partial.size + held - at)));
        at += chunk.length;
        if (this.size !== null && at > this.size) throw this.#wrongLength(`more than ${this.size} bytes`);
        if (this.size === null && at > MOST_UNANNOUNCED) {
          // Nothing of it is worth going on with.
          held = 0;
          await partial.restart();
          throw tooLarge(this.#where, null, MOST_UNANNOUNCED);
        }
        if (fresh.length > 0) parts.push(fresh);
        held += fresh.length;
        if (isDue() || at >= this.#wanted) await write();
        if (at < this.#wanted || at === this.size) continue;
        if (!this.#context.holdsOpen) return false;
        await this.#untilWanted();
      }
    } finally {
      // After a lost connection what has come is as good as any.
      await write();
    }
    this.size ??= partial.size;
    if (partial.size >= this.size) return true;
    throw new TransientFailure(
      new SluiceError("not_found", `${this.#where}: the connection ended after ${partial.size} of ${this.size} bytes`, {
        hint: "Try again: what has come is kept.",
      }),
    );
  }

  #learnSize({ size }: FileBody): void {
    if (size === null || size === this.size) return;
    if (this.size !== null) throw this.#wrongLength(`${size} bytes`);
    this.size = size;
  }

  #wrongLength(sent: string): SluiceError {
    return new SluiceError(
      "bad_file",
      `${this.#where}: the server sends ${sent}, but the hub says that it has ${this.size}`,
      {
        hint: "One of the two is wrong. Try again later, or name another revision.",
      },
    );
  }

  async #untilWanted(): Promise<void> {
    const { signal } = this.#context;
    while (this.done >= this.#wanted) {
      throwIfAborted(signal);
      await new Promise<void>((resolve) => {
        const forget = onAbort(signal, resolve);
        this.#wantMore = () => {
          forget();
          resolve();
        };
      });
    }
  }

  #advance(done: number): void {
    this.done = done;
    for (const waiter of this.#waiters) if (waiter.end <= this.#readable) waiter.resolve();
    this.#context.onBytes();
  }

  #finish(partial: PartialFile | null): void {
    this.#isWhole = true;
    if (!partial) this.kept = this.size ?? 0;
    this.#advance(this.size ?? partial?.size ?? 0);
  }
}
