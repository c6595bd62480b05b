/** A model's files on their way into the store: small ones at once, weights when they are wanted, all verified. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import type { FileSource } from "../formats/source.ts";
import { onAbort } from "../on-abort.ts";
import { HubError } from "./errors.ts";
import { type DownloadContext, FileDownload } from "./file-download.ts";
import type { HubOptions } from "./hub-options.ts";
import { DownloadMeter } from "./progress.ts";
import type { HubReference } from "./reference.ts";
import { type Resolution, shardsOf } from "./resolve.ts";
import { Turns } from "./turns.ts";

/** Connections for small files, and for weights, at a time: together no more than browsers open to one host. */
const SMALL_AT_ONCE = 4;
const WEIGHTS_AT_ONCE = 4;

/** What is fetched of a file of weights before more is wanted: more than the header of nearly all. */
const HEAD_BYTES = 1 << 20;

export class Download {
  readonly #reference: HubReference;
  readonly #resolution: Resolution;
  readonly #options: HubOptions;
  readonly #files: FileDownload[] = [];
  readonly #byPath = new Map<string, FileDownload>();
  /** Optional files that turned out not to be had. */
  readonly #absent = new Set<string>();
  readonly #paths: Set<string>;
  readonly #stop = new AbortController();
  readonly #meter: DownloadMeter;
  readonly #forget: () => void;
  /** The files that are read as a whole, when they are there. */
  #small: Promise<unknown> = Promise.resolve();

  private constructor(reference: HubReference, resolution: Resolution, options: HubOptions) {
    this.#reference = reference;
    this.#resolution = resolution;
    this.#options = options;
    this.#paths = new Set([...resolution.needed.small, ...resolution.needed.weights]);
    this.#meter = new DownloadMeter(this.#files, options.onProgress);
    this.#forget = onAbort(options.signal, () => this.#stop.abort(options.signal?.reason));
  }

  /** Begins to fetch what is not in the store. Weights are fetched to their headers, until {@link wantAll}. */
  static async start(reference: HubReference, resolution: Resolution, options: HubOptions): Promise<Download> {
    const download = new Download(reference, resolution, options);
    try {
      await download.#start();
      return download;
    } catch (error) {
      await download.close();
      throw error;
    }
  }

  /** Every path of the repository, as far as it is known. */
  get listing(): readonly string[] {
    return this.#resolution.listing;
  }

  /** Whether a file is fetched, or in the store. */
  async has(path: string): Promise<boolean> {
    const coming = this.#byPath.get(path);
    // Whether an optional file can be had shows when it comes.
    if (coming && this.isSmall(path)) await coming.run().catch(() => undefined);
    return this.#paths.has(path) && !this.#absent.has(path);
  }

  /** Whether a file is read as a whole, so that it can be verified before. */
  isSmall(path: string): boolean {
    return this.#resolution.needed.small.includes(path);
  }

  /** A file that was not in the store before; null for others. */
  file(path: string): FileDownload | null {
    return this.#byPath.get(path) ?? null;
  }

  /** The files that the model needs and that can be had. */
  get paths(): readonly string[] {
    return [...this.#paths].filter((path) => !this.#absent.has(path));
  }

  /** The files that are in the store. */
  openStored(): Promise<FileSource> {
    return this.#options.store.open(this.#reference.repo, this.#resolution.commit);
  }

  /** From now on everything is fetched. */
  wantAll(): void {
    for (const file of this.#files) {
      file.want(Number.POSITIVE_INFINITY);
      file.run();
    }
  }

  /** Fetches everything; resolves when all is in the store, verified. @throws SluiceError what failed first */
  async finished(signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    this.wantAll();
    await Promise.all([this.#small, ...this.#files.map((file) => this.#orAbsent(file))]);
    this.#meter.report(true);
    const { repo, revision } = this.#reference;
    // Last, so that the branch never leads to a model of which a part is missing.
    await this.#options.store.setCommit(repo, revision, this.#resolution.commit);
  }

  /** Ends what is under way; what has come is kept. */
  async close(): Promise<void> {
    this.#forget();
    this.#stop.abort();
    await Promise.all(this.#files.map((file) => file.close()));
  }

  async #start(): Promise<void> {
    const { needed } = this.#resolution;
    if (needed.notice !== null) this.#options.note(needed.notice);
    const small = await this.#add(needed.small, new Turns(SMALL_AT_ONCE), false);
    this.#small = Promise.all(small.map((file) => this.#orAbsent(file)));
    // Whoever asks for the files, or waits for all, is told.
    this.#small.catch(() => undefined);
    const shards = needed.index === null ? [] : await this.#readIndex(needed.index);
    const weights = [...needed.weights, ...shards];
    for (const path of shards) this.#paths.add(path);
    await this.#add(weights, new Turns(WEIGHTS_AT_ONCE), true);
  }

  /** The files that the index names and the repository has. */
  async #readIndex(index: string): Promise<readonly string[]> {
    const { store } = this.#options;
    await this.#byPath.get(index)?.run();
    const named = await shardsOf(store, this.#reference.repo, this.#resolution.commit, this.#stop.signal);
    const there = new Set(this.listing);
    // A server that lists nothing was not asked for these names.
    return this.#resolution.isListed ? named.filter((path) => there.has(path)) : named;
  }

  async #add(paths: readonly string[], turns: Turns, isWeights: boolean): Promise<readonly FileDownload[]> {
    const { client, store, note } = this.#options;
    const { kept, facts, commit } = this.#resolution;
    const missing = paths.filter((path) => !kept.has(path));
    if (missing.length === 0 || !facts) return [];
    const found = await facts.of(missing, (path) => this.#isOptional(path));
    for (const path of missing) if (!found.has(path)) this.#leaveOut(path, null);
    const context: DownloadContext = {
      client,
      store,
      repo: this.#reference.repo,
      address: facts.address,
      commit,
      signal: this.#stop.signal,
      turns,
      holdsOpen: found.size <= WEIGHTS_AT_ONCE,
      onBytes: () => this.#meter.report(),
      note,
    };
    const files = [...found.values()].map(
      (file) => new FileDownload(file, context, isWeights ? HEAD_BYTES : Number.POSITIVE_INFINITY),
    );
    await store.checkRoom(files.reduce((sum, { size }) => sum + (size ?? 0), 0));
    this.#files.push(...files);
    for (const file of files) this.#byPath.set(file.path, file);
    return files;
  }

  /** Fetches a file, which may turn out not to be had if it is optional. */
  async #orAbsent(file: FileDownload): Promise<void> {
    try {
      await file.run();
    } catch (error) {
      const isRefused = error instanceof HubError && (error.kind === "missing_file" || error.kind === "denied");
      if (!isRefused) throw error;
      this.#leaveOut(file.path, error);
    }
  }

  /** Whether a model can do without a file that cannot be had. */
  #isOptional(path: string): boolean {
    const { small, index } = this.#resolution.needed;
    return small.includes(path) && path !== index && !/^(?:adapter_)?config\.json$/.test(path);
  }

  #leaveOut(path: string, error: HubError | null): void {
    const { endpoint } = this.#options.client.access;
    const where = `${this.#reference.repo}/${path}`;
    if (!this.#isOptional(path))
      throw error ?? new SluiceError("not_found", `${where} is listed, but ${endpoint} does not have it`);
    if (this.#absent.has(path)) return;
    this.#absent.add(path);
    this.#options.note(`${where} cannot be had, and is left out${error ? `: ${error.message.split("\n")[0]}` : ""}`);
  }
}
