/** A model's folder on a web server, read by HTTP ranges. Runs in Node and in browsers. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import type { ByteStream } from "./byte-stream.ts";
import { SequentialFile } from "./sequential-file.ts";
import { checkPath, checkRange, closedSource, endsEarly, type FileSource, MAX_TEXT_BYTES, tooLarge } from "./source.ts";
import { type FileRequest, type FileResponse, fetchFile, retrying, TransientFailure } from "./url-fetch.ts";

export interface UrlBaseOptions {
  /** Pauses before the second, third, … attempt at what failed in passing. */
  readonly retryDelaysMs?: readonly number[];
}

/**
 * @param base address of the folder, with or without a slash at its end. Its query goes along with every
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
  return new UrlBase(url, options.retryDelaysMs ?? [250, 1000]);
}

class UrlBase implements FileSource {
  readonly label: string;
  readonly #base: URL;
  readonly #delays: readonly number[];
  /** Lengths of files known to be there; null where the server does not tell. */
  readonly #sizes = new Map<string, number | null>();
  /** Files whose server does not serve ranges. */
  readonly #sequential = new Map<string, SequentialFile>();
  #closed = false;

  constructor(base: URL, delays: readonly number[]) {
    this.#base = base;
    this.#delays = delays;
    this.label = (base.origin + base.pathname).replace(/\/+$/, "");
  }

  describe(path: string): string {
    return `${this.label}/${path}`;
  }

  async exists(path: string, signal?: AbortSignal): Promise<boolean> {
    return (await this.#look(path, signal)) !== undefined;
  }

  async size(path: string, signal?: AbortSignal): Promise<number> {
    const size = await this.#look(path, signal);
    if (size === undefined) throw this.#missing(path);
    if (size !== null) return size;
    throw new SluiceError("not_found", `${this.describe(path)}: the server does not tell the length of this file`, {
      hint: "Serve the folder by a server that answers range requests, or sends Content-Length uncompressed.",
    });
  }

  async read(path: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this.describe(path), begin, end);
    // Asked before the buffer is made: a lying header may name a range larger than memory.
    const size = await this.size(path, signal);
    if (end > size) throw endsEarly(this.describe(path), size, end);
    const bytes = new Uint8Array(end - begin);
    if (bytes.length === 0) return bytes;
    await retrying(this.#delays, signal, async () => {
      const sequential = this.#sequential.get(path);
      const filled = sequential
        ? await sequential.read(begin, bytes, signal)
        : await this.#readRange(path, begin, bytes, size, signal);
      if (filled < bytes.length) throw new TransientFailure(endsEarly(this.describe(path), begin + filled, end));
    });
    throwIfAborted(signal);
    return bytes;
  }

  async readAll(path: string, maxBytes = MAX_TEXT_BYTES, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    this.#check(path, signal);
    return retrying(this.#delays, signal, async () => {
      const response = await this.#fetch(path, {}, signal);
      if (!response) throw this.#missing(path);
      try {
        return await readWhole(response, this.describe(path), maxBytes);
      } finally {
        await response.body.cancel();
      }
    });
  }

  isForwardOnly(path: string): boolean {
    return this.#sequential.has(path);
  }

  async list(): Promise<null> {
    return null;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const open = [...this.#sequential.values()];
    this.#sequential.clear();
    await Promise.all(open.map((file) => file.close()));
  }

  /** A file's length, null where the server does not tell, undefined for no such file. Remembered once found. */
  async #look(path: string, signal: AbortSignal | undefined): Promise<number | null | undefined> {
    this.#check(path, signal);
    const known = this.#sizes.get(path);
    if (known !== undefined) return known;
    const size = await retrying(this.#delays, signal, () => this.#probe(path, signal));
    if (size !== undefined) this.#sizes.set(path, size);
    return size;
  }

  /** Asks for one byte, since not every server answers HEAD, and the answer tells whether ranges are served. */
  async #probe(path: string, signal: AbortSignal | undefined): Promise<number | null | undefined> {
    const response = await this.#fetch(path, { range: [0, 1] }, signal);
    if (!response) return undefined;
    if (!response.partial) {
      await this.#serveInOrder(path, response.body);
      return response.length;
    }
    await response.body.skipTo(1);
    await response.body.finish();
    const total = /\/(\d+)$/.exec(response.contentRange ?? "")?.[1];
    if (total !== undefined) return Number(total);
    // Across origins a page may not see Content-Range; Content-Length it always sees.
    const head = await this.#fetch(path, { method: "HEAD" }, signal);
    return head?.length ?? null;
  }

  /** One range request; resolves to the number of bytes that came. */
  async #readRange(
    path: string,
    begin: number,
    target: Uint8Array,
    size: number,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const end = begin + target.length;
    const response = await this.#fetch(path, { range: [begin, end] }, signal);
    if (!response) throw this.#missing(path);
    if (!response.partial) return (await this.#serveInOrder(path, response.body)).read(begin, target, signal);
    const { contentRange, body } = response;
    if (contentRange !== null && !isRange(contentRange, begin, size)) {
      await body.cancel();
      const problem = `asked for bytes ${begin} to ${end} of ${size}, the server answered "${contentRange}"`;
      throw new SluiceError("bad_file", `${this.describe(path)}: ${problem}`, {
        hint: "The file was replaced while it was read, or the server's ranges are wrong. Load the model again.",
      });
    }
    const filled = await body.fill(target);
    await (filled === target.length ? body.finish() : body.cancel());
    return filled;
  }

  /** Adopts a body that holds the whole file, for a server that sends nothing less. */
  async #serveInOrder(path: string, body: ByteStream): Promise<SequentialFile> {
    const earlier = this.#sequential.get(path);
    if (earlier) {
      // Two first looks at once: the earlier body serves both.
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

  /** null for a file that does not exist. */
  #fetch(path: string, request: FileRequest, signal: AbortSignal | undefined): Promise<FileResponse | null> {
    const url = new URL(this.#base);
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/${path.split("/").map(encodeURIComponent).join("/")}`;
    url.hash = "";
    return fetchFile(url, this.describe(path), request, signal);
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

/** Does a Content-Range header answer a request for bytes from `begin` of a file of `size` bytes? */
function isRange(header: string, begin: number, size: number): boolean {
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header) ?? [];
  return Number(first) === begin && (total === "*" || Number(total) === size);
}

/** The whole body, grown as it comes where its length is not announced. */
async function readWhole(response: FileResponse, where: string, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  const { body, length } = response;
  if (length !== null && length > maxBytes) throw tooLarge(where, length, maxBytes);
  let bytes = new Uint8Array(length ?? 1 << 16);
  let filled = await body.fill(bytes);
  while (length === null && filled === bytes.length) {
    if (filled > maxBytes) throw tooLarge(where, null, maxBytes);
    const larger = new Uint8Array(filled * 2);
    larger.set(bytes);
    bytes = larger;
    filled += await body.fill(bytes.subarray(filled));
  }
  if (filled > maxBytes) throw tooLarge(where, null, maxBytes);
  if (length !== null && filled < length) throw new TransientFailure(endsEarly(where, filled, length));
  await body.finish();
  return filled === bytes.length ? bytes : bytes.slice(0, filled);
}
