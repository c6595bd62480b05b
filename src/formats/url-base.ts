/** A model's folder on a web server, read by HTTP ranges. Runs in Node and in browsers. */

import { SluiceError, throwIfAborted } from "../errors.ts";
import { onAbort } from "../on-abort.ts";
import { show } from "../show.ts";
import { Arrival } from "./arrival.ts";
import type { ByteStream } from "./byte-stream.ts";
import { RANGE_BYTES, ReadAhead, type Span } from "./read-ahead.ts";
import { SequentialFile } from "./sequential-file.ts";
import { checkPath, checkRange, closedSource, endsEarly, type FileSource, MAX_TEXT_BYTES, tooLarge } from "./source.ts";
import { isRange, readWhole } from "./url-answer.ts";
import {
  type FileRequest,
  type FileResponse,
  type FileVersion,
  fetchFile,
  isSameVersion,
  retrying,
  SilentServer,
  TransientFailure,
  WithheldFile,
} from "./url-fetch.ts";

export interface UrlBaseOptions {
  /** Pauses before the second, third, … attempt after a transient failure. */
  readonly retryDelaysMs?: readonly number[];
  /** How long the server may say nothing. */
  readonly patienceMs?: number;
  /** Receives notices for the user. */
  readonly note?: ((text: string) => void) | undefined;
}

/**
 * @param base address of the folder, with or without a slash at its end. Its query is sent with every
 *   request (and stays out of messages, as it may hold a key); its fragment is dropped.
 * @throws `usage` for anything but an http(s) address
 */
export function openUrlBase(base: string | URL, options: UrlBaseOptions = {}): FileSource {
  if (!URL.canParse(String(base))) throw new SluiceError("usage", `${base} is not an address`);
  const url = new URL(base);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new SluiceError("usage", `${url.protocol} addresses are not read; give an http(s) address or a folder`);
  }
  if (url.username || url.password) {
    throw new SluiceError("usage", `The address of ${url.host} holds a user name or password, which fetch refuses`, {
      hint: "Download the model's folder and give its path.",
    });
  }
  return new UrlBase(url, options);
}

/** What files of weights are called. */
const WEIGHTS = /\.(?:safetensors|gguf)$/i;

/** How much of such a file the first request brings: more than the headers of nearly all. */
const HEAD_BYTES = 256 << 10;

/** The same if all of the file will be read, so that the line is busy until the next ranges come. */
const EXPECTED_HEAD_BYTES = RANGE_BYTES;

class UrlBase implements FileSource {
  readonly label: string;
  readonly #base: URL;
  readonly #delays: readonly number[];
  readonly #patienceMs: number | undefined;
  readonly #note: (text: string) => void;
  /** Files come at once, and what holds up one holds up all: the first to be tried again says so. */
  #retries = 0;
  /** Lengths of files known to exist; null if the server does not report it. */
  readonly #sizes = new Map<string, number | null>();
  /** Looks under way, which all who ask meanwhile share. */
  readonly #looks = new Map<string, Promise<number | null | undefined>>();
  /** Small files on their way, until they are asked for; null for those that are not there. */
  readonly #expected = new Map<string, Promise<Uint8Array<ArrayBuffer> | null>>();
  /** How files of weights begin: their headers, in nearly every case. */
  readonly #heads = new Map<string, Arrival>();
  readonly #ahead: ReadAhead;
  /** Of which content the first part of a file of weights was. */
  readonly #versions = new Map<string, FileVersion>();
  /** Files whose server does not serve ranges. */
  readonly #sequential = new Map<string, SequentialFile>();
  /** Ends what is under way when the source is closed. */
  readonly #closing = new AbortController();
  readonly #stops = new Map<AbortSignal, AbortSignal>();
  #closed = false;

  constructor(base: URL, { retryDelaysMs = [250, 1000], patienceMs, note = () => undefined }: UrlBaseOptions) {
    this.#base = base;
    this.#delays = retryDelaysMs;
    this.#patienceMs = patienceMs;
    this.#note = note;
    this.#ahead = new ReadAhead((path, begin, target, onFilled, signal) =>
      this.#readRetrying(path, begin, target, this.#sizes.get(path) as number, signal, onFilled),
    );
    this.label = (base.origin + base.pathname).replace(/\/+$/, "");
  }

  describe(path: string): string {
    return `${this.label}/${path}`;
  }

  expect(paths: readonly string[], signal?: AbortSignal, onAnswer: (count: number) => void = () => undefined): void {
    let answers = 0;
    for (const path of paths) {
      const file = WEIGHTS.test(path)
        ? this.#look(path, signal, EXPECTED_HEAD_BYTES)
        : this.#readWhole(path, MAX_TEXT_BYTES, signal);
      if (!WEIGHTS.test(path)) this.#expected.set(path, file as Promise<Uint8Array<ArrayBuffer> | null>);
      // Nobody waits for it yet; whoever asks for the file asks again if it failed, unless it would again.
      file
        .catch((error: unknown) => error instanceof WithheldFile || this.#expected.delete(path))
        .finally(() => onAnswer(++answers));
    }
  }

  readAhead(path: string, spans: readonly Span[], signal?: AbortSignal): void {
    if (this.#sequential.has(path) || typeof this.#sizes.get(path) !== "number") return;
    const known = this.#heads.get(path)?.bytes.length ?? 0;
    const rest = spans.map(({ begin, end }) => ({ begin: Math.max(begin, known), end: Math.max(end, known) }));
    this.#ahead.add(path, rest, signal);
  }

  async exists(path: string, signal?: AbortSignal): Promise<boolean> {
    this.#check(path, signal);
    const expected = this.#expected.get(path);
    if (expected) return (await expected) !== null;
    return (await this.#look(path, signal)) !== undefined;
  }

  async size(path: string, signal?: AbortSignal): Promise<number> {
    const size = await this.#look(path, signal);
    if (size === undefined) throw this.#missing(path);
    if (size !== null) return size;
    throw new SluiceError("not_found", `${this.describe(path)}: the server does not report this file's length`, {
      hint: "Use a server that answers range requests, or that sends Content-Length uncompressed.",
    });
  }

  async read(path: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this.describe(path), begin, end);
    // Checked before the buffer is made: a false header may name a range larger than memory.
    const size = await this.size(path, signal);
    if (end > size) throw endsEarly(this.describe(path), size, end);
    const bytes = new Uint8Array(end - begin);
    const done = await this.#readHead(path, begin, bytes);
    const rest = bytes.subarray(done);
    if (rest.length > 0 && !(await this.#ahead.read(path, begin + done, rest))) {
      await this.#readRetrying(path, begin + done, rest, size, signal);
    }
    throwIfAborted(signal);
    return bytes;
  }

  async readAll(path: string, maxBytes = MAX_TEXT_BYTES, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    this.#check(path, signal);
    const expected = this.#expected.get(path);
    // It is read once: the next to ask gets a fresh one.
    this.#expected.delete(path);
    const bytes = await (expected ?? this.#readWhole(path, maxBytes, signal));
    if (!bytes) throw this.#missing(path);
    if (bytes.length > maxBytes) throw tooLarge(this.describe(path), bytes.length, maxBytes);
    return bytes;
  }

  isForwardOnly(path: string): boolean {
    return this.#sequential.has(path);
  }

  async list(): Promise<null> {
    return null;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#closing.abort();
    const open = [...this.#sequential.values()];
    this.#sequential.clear();
    this.#expected.clear();
    this.#heads.clear();
    await Promise.all(open.map((file) => file.close()));
  }

  /** A file's length; null if the server does not report it, undefined if there is no such file. Cached once found. */
  async #look(
    path: string,
    signal: AbortSignal | undefined,
    headBytes = HEAD_BYTES,
  ): Promise<number | null | undefined> {
    this.#check(path, signal);
    const known = this.#sizes.get(path);
    if (known !== undefined) return known;
    const look = this.#looks.get(path) ?? this.#retrying(signal, () => this.#probe(path, headBytes, signal));
    this.#looks.set(path, look);
    try {
      const size = await look;
      if (size !== undefined) this.#sizes.set(path, size);
      return size;
    } finally {
      this.#looks.delete(path);
    }
  }

  /** Null for a file that does not exist. */
  #readWhole(path: string, maxBytes: number, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#retrying(signal, async () => {
      const response = await this.#fetch(path, {}, signal);
      if (!response) return null;
      try {
        return await readWhole(response, this.describe(path), maxBytes);
      } finally {
        await response.body.cancel();
      }
    });
  }

  /** Fills the target from what a file's first request brings; resolves to the number of bytes. */
  async #readHead(path: string, begin: number, target: Uint8Array): Promise<number> {
    const head = this.#heads.get(path);
    // Whoever reads on from there is done with it.
    if (head && begin >= head.bytes.length) this.#heads.delete(path);
    const end = Math.min(begin + target.length, head?.bytes.length ?? 0);
    if (!head || end <= begin || !(await head.has(end))) return 0;
    target.set(head.bytes.subarray(begin, end));
    return end - begin;
  }

  /** Fills the target, or throws. */
  #readRetrying(
    path: string,
    begin: number,
    target: Uint8Array<ArrayBuffer>,
    size: number,
    signal: AbortSignal | undefined,
    onFilled?: (count: number) => void,
  ): Promise<void> {
    // Another attempt goes on where the one before ended.
    let filled = 0;
    return this.#retrying(signal, async () => {
      const rest = target.subarray(filled);
      const restBegin = begin + filled;
      const onMore = (count: number) => {
        filled = restBegin - begin + count;
        onFilled?.(filled);
      };
      const sequential = this.#sequential.get(path);
      const count = sequential
        ? await sequential.read(restBegin, rest, signal)
        : await this.#readRange(path, restBegin, rest, size, signal, onMore);
      if (count < rest.length) {
        throw new TransientFailure(endsEarly(this.describe(path), restBegin + count, begin + target.length));
      }
    });
  }

  /**
   * Asks for a range, since not every server answers HEAD, and the answer shows whether ranges are served: for the first
   * byte, or what a file of weights begins with.
   */
  async #probe(path: string, headBytes: number, signal: AbortSignal | undefined): Promise<number | null | undefined> {
    const wanted = WEIGHTS.test(path) ? headBytes : 1;
    const response = await this.#fetch(path, { range: [0, wanted] }, signal);
    if (!response) return undefined;
    const { body, partial, length, contentRange } = response;
    if (!partial) {
      await this.#serveInOrder(path, body);
      return length;
    }
    const [, first, total] = /^bytes (?:(\d+)-\d+|\*)\/(\d+)$/.exec(contentRange ?? "") ?? [];
    // A page may not see Content-Range across origins. Then the server is believed.
    if (wanted > 1 && (first === "0" || contentRange === null)) {
      this.#keepHead(path, body, Math.min(wanted, Number(total ?? wanted)));
    } else await body.cancel();
    if (total !== undefined) return Number(total);
    // Content-Length it always sees.
    return (await this.#fetch(path, { method: "HEAD" }, signal))?.length ?? null;
  }

  /** Goes on while others read. If it ends early, the rest is asked for like any other part. */
  #keepHead(path: string, body: ByteStream, length: number): void {
    const head = new Arrival(new Uint8Array(length));
    this.#heads.set(path, head);
    body
      .fill(head.bytes, (count) => head.reached(count))
      .then(() => body.finish())
      .catch(() => undefined)
      .finally(() => head.end());
  }

  /** One range request; resolves to the number of bytes that came. */
  async #readRange(
    path: string,
    begin: number,
    target: Uint8Array,
    size: number,
    signal: AbortSignal | undefined,
    onFilled?: (count: number) => void,
  ): Promise<number> {
    const end = begin + target.length;
    const response = await this.#fetch(path, { range: [begin, end] }, signal);
    if (!response) throw this.#missing(path);
    if (!response.partial) return (await this.#serveInOrder(path, response.body)).read(begin, target, signal);
    const { contentRange, body } = response;
    if (contentRange !== null && !isRange(contentRange, begin, size)) {
      await body.cancel();
      const problem = `the server answered ${show(contentRange)} for bytes ${begin} to ${end} of ${size}`;
      throw new SluiceError("bad_file", `${this.describe(path)}: ${problem}`, {
        hint: "The file was replaced while it was read, or the server's ranges are wrong. Load the model again.",
      });
    }
    const filled = await body.fill(target, onFilled);
    await (filled === target.length ? body.finish() : body.cancel());
    return filled;
  }

  /** Adopts a body that holds the whole file, from a server that only sends whole files. */
  async #serveInOrder(path: string, body: ByteStream): Promise<SequentialFile> {
    const earlier = this.#sequential.get(path);
    if (earlier) {
      // Two simultaneous first requests: the earlier body serves both.
      await body.cancel();
      return earlier;
    }
    const file = new SequentialFile(body, async (signal) => {
      const response = await this.#fetch(path, {}, signal);
      if (!response) throw this.#missing(path);
      return response.body;
    });
    this.#sequential.set(path, file);
    return file;
  }

  #retrying<T>(signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
    return retrying(this.#delays, signal, task, {
      // Who was silent twice is silent a third time.
      isHopeless: (failure, attempt) => failure instanceof SilentServer && attempt > 0,
      onRetry: ({ message }, attempt) => {
        if (attempt < this.#retries) return;
        this.#retries = attempt + 1;
        // The hint is for the failure that ends it.
        this.#note(`${message.split("\n")[0]}; trying again`);
      },
    });
  }

  /** null for a file that does not exist. */
  async #fetch(path: string, request: FileRequest, signal: AbortSignal | undefined): Promise<FileResponse | null> {
    const url = new URL(this.#base);
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/${path.split("/").map(encodeURIComponent).join("/")}`;
    url.hash = "";
    const response = await fetchFile(url, this.describe(path), request, this.#stopFor(signal), this.#patienceMs);
    // Other files come in one answer.
    if (!response || !WEIGHTS.test(path)) return response;
    const { version, body } = response;
    const known = this.#versions.get(path) ?? version;
    this.#versions.set(path, known);
    if (isSameVersion(known, version)) return response;
    await body.cancel();
    throw new SluiceError(
      "bad_file",
      `${this.describe(path)} was replaced while it was read: the server's ETag or Last-Modified changed`,
      {
        hint: "Load the model again.",
      },
    );
  }

  /** Fires with the caller's signal, and when the source is closed. Older browsers lack `AbortSignal.any`. */
  #stopFor(signal: AbortSignal | undefined): AbortSignal {
    if (!signal) return this.#closing.signal;
    const known = this.#stops.get(signal);
    if (known) return known;
    const stop = new AbortController();
    const forget = onAbort(signal, () => stop.abort(signal.reason));
    onAbort(this.#closing.signal, () => {
      forget();
      stop.abort();
    });
    this.#stops.set(signal, stop.signal);
    return stop.signal;
  }

  #check(path: string, signal: AbortSignal | undefined): void {
    throwIfAborted(signal);
    if (this.#closed) throw closedSource(this.label);
    checkPath(path);
  }

  #missing(path: string): SluiceError {
    const model = /^https:\/\/huggingface\.co\/[^/]+\/[^/]+/.exec(this.label)?.[0];
    const hint =
      model && !this.label.includes("/resolve/")
        ? `Hugging Face serves the files of this model under ${model}/resolve/main`
        : "Give the address of the folder that holds config.json and the safetensors files.";
    return new SluiceError("not_found", `${this.describe(path)} does not exist`, { hint });
  }
}
