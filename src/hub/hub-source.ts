/** A hub model's files while they are on their way: each is read as soon as its bytes have come. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import { checkPath, checkRange, closedSource, endsEarly, type FileSource, readWhole } from "../formats/source.ts";
import type { Download } from "./download.ts";

export class HubSource implements FileSource {
  readonly label: string;
  readonly #start: () => Promise<Download>;
  #started: Promise<Download> | null = null;
  #stored: Promise<FileSource> | null = null;
  #closed = false;

  /**
   * @param label names the model, as the user did
   * @param start begins the download, which happens when files are first expected or asked for
   */
  constructor(label: string, start: () => Promise<Download>) {
    this.label = label;
    this.#start = start;
  }

  describe(path: string): string {
    return `${this.label}/${path}`;
  }

  async exists(path: string, signal?: AbortSignal): Promise<boolean> {
    this.#check(path, signal);
    return (await this.#download()).has(path);
  }

  async size(path: string, signal?: AbortSignal): Promise<number> {
    this.#check(path, signal);
    const coming = (await this.#download()).file(path);
    return coming ? coming.length() : (await this.#kept(path, signal)).size(path, signal);
  }

  async read(path: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this.describe(path), begin, end);
    this.#check(path, signal);
    const download = await this.#download();
    const coming = download.file(path);
    if (!coming) return (await this.#kept(path, signal)).read(path, begin, end, signal);
    // Nothing is made of a configuration or a tokenizer that may be wrong.
    if (download.isSmall(path)) await coming.run();
    const size = await coming.length();
    if (end > size) throw endsEarly(this.describe(path), size, end);
    await coming.available(end);
    throwIfAborted(signal);
    return (await coming.read(begin, end)) ?? (await this.#kept(path, signal)).read(path, begin, end, signal);
  }

  readAll(path: string, maxBytes?: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return readWhole(this, path, maxBytes, signal);
  }

  /** Begins: which files there are is known already, so none need be named. */
  expect(): void {
    // Whoever asks for a file is told what went wrong.
    this.#download().catch(() => undefined);
  }

  /** From now on weights are fetched to their ends, in the order of the files. */
  readAhead(): void {
    this.#download().then(
      (download) => download.wantAll(),
      () => undefined,
    );
  }

  isForwardOnly(): boolean {
    return false;
  }

  async list(folder?: string): Promise<readonly string[]> {
    if (folder !== undefined) checkPath(folder);
    const prefix = folder === undefined ? "" : `${folder}/`;
    const inside = (await this.#download()).listing.filter((path) => path.startsWith(prefix));
    return [...new Set(inside.map((path) => path.slice(prefix.length).split("/")[0] as string))];
  }

  async settle(signal?: AbortSignal): Promise<void> {
    await (await this.#download()).finished(signal);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await (await this.#started?.catch(() => null))?.close();
    await (await this.#stored?.catch(() => null))?.close();
  }

  /** Where the files are that were in the store before, or have got there since. */
  async #kept(path: string, signal: AbortSignal | undefined): Promise<FileSource> {
    if (!(await this.exists(path, signal))) {
      const hint = "Name another revision, or a model that has it.";
      throw new SluiceError("not_found", `${this.describe(path)} does not exist`, { hint });
    }
    this.#stored ??= (await this.#download()).openStored();
    return this.#stored;
  }

  #download(): Promise<Download> {
    this.#started ??= this.#start();
    return this.#started;
  }

  #check(path: string, signal: AbortSignal | undefined): void {
    throwIfAborted(signal);
    if (this.#closed) throw closedSource(this.label);
    checkPath(path);
  }
}
