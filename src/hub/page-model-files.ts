/** The files of a commit in a page's storage, for reading. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import { ReadAhead, type Span } from "../formats/read-ahead.ts";
import { checkPath, checkRange, closedSource, endsEarly, type FileSource, readWhole } from "../formats/source.ts";
import type { ContentReader } from "./page-content.ts";

/** A commit in a store, whose files may become more. */
export interface StoredCommit {
  /** Paths in the repository. */
  paths(): Promise<readonly string[]>;
  /** Null if there is no such file. */
  content(path: string): Promise<ContentReader | null>;
}

export class PageModelFiles implements FileSource {
  readonly label: string;
  readonly #commit: StoredCommit;
  readonly #found = new Map<string, ContentReader>();
  /** Blobs are read by another process: what is needed next is on its way while this one is worked on. */
  readonly #ahead = new ReadAhead(async (path, begin, target) => {
    target.set(await this.#readFound(path, begin, begin + target.length));
  });
  #closed = false;

  constructor(label: string, commit: StoredCommit) {
    this.label = label;
    this.#commit = commit;
  }

  describe(path: string): string {
    return `${this.label}: ${path}`;
  }

  async exists(path: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#look(path, signal)) !== null;
  }

  async size(path: string, signal?: AbortSignal): Promise<number> {
    return (await this.#find(path, signal)).size;
  }

  async read(path: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this.describe(path), begin, end);
    const file = await this.#find(path, signal);
    if (end > file.size) throw endsEarly(this.describe(path), file.size, end);
    const bytes = new Uint8Array(end - begin);
    if (!(await this.#ahead.read(path, begin, bytes))) bytes.set(await this.#readFound(path, begin, end));
    throwIfAborted(signal);
    return bytes;
  }

  readAhead(path: string, spans: readonly Span[]): void {
    if (this.#found.has(path)) this.#ahead.add(path, spans);
  }

  readAll(path: string, maxBytes?: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return readWhole(this, path, maxBytes, signal);
  }

  isForwardOnly(): boolean {
    return false;
  }

  async list(folder?: string): Promise<readonly string[]> {
    const prefix = folder === undefined ? "" : `${folder}/`;
    const inside = (await this.#commit.paths()).filter((path) => path.startsWith(prefix));
    return [...new Set(inside.map((path) => path.slice(prefix.length).split("/")[0] as string))];
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** Bytes of a file that was looked up before. */
  async #readFound(path: string, begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return await (this.#found.get(path) as ContentReader).read(begin, end);
    } catch (cause) {
      throw new SluiceError("not_found", `${this.describe(path)} cannot be read`, {
        hint: "The browser, or another page, may have removed it meanwhile. Load the model again.",
        cause,
      });
    }
  }

  async #find(path: string, signal: AbortSignal | undefined): Promise<ContentReader> {
    const file = await this.#look(path, signal);
    if (file) return file;
    throw new SluiceError("not_found", `${this.describe(path)} does not exist`);
  }

  async #look(path: string, signal: AbortSignal | undefined): Promise<ContentReader | null> {
    this.#check(path, signal);
    const file = this.#found.get(path) ?? (await this.#commit.content(path));
    if (file) this.#found.set(path, file);
    return file;
  }

  #check(path: string, signal: AbortSignal | undefined): void {
    throwIfAborted(signal);
    if (this.#closed) throw closedSource(this.label);
    checkPath(path);
  }
}
