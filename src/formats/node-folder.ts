/** A model's folder on disk, read by position through handles that stay open until the source is closed. */
import { constants } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SluiceError, throwIfAborted } from "../errors.ts";
import { alive } from "../resources.ts";
import { RECOGNISED_BYTES, recognise } from "./recognise.ts";
import { checkPath, checkRange, closedSource, endsEarly, type FileSource, readWhole } from "./source.ts";

/** An abort is noticed between reads of this size; the kernel also takes no more than 2 GiB in one call. */
const READ_BYTES = 16 << 20;

/** A bundle identifies itself near its beginning. */
const BUNDLE_LOOK = 1 << 16;

/**
 * @param path of a folder or a GGUF file, or a `file:` URL of one. Symbolic links are followed, as Hugging Face's cache
 *   needs.
 * @throws `not_found` if there is neither
 */
export async function openFolder(path: string): Promise<FileSource> {
  const folder = path.startsWith("file:") ? fileURLToPath(path) : path;
  const found = await stat(folder).catch((cause: unknown) => {
    throw unreadable(folder, cause, hintForMissing(path));
  });
  return found.isDirectory() ? new NodeFolder(folder) : openModelFile(folder);
}

/**
 * A GGUF file as the folder that it stands for.
 * @throws `not_found` for any other file given instead of a model's folder; it says what the file is, if known
 */
async function openModelFile(path: string): Promise<FileSource> {
  const handle = await openFile(path);
  try {
    const { buffer, bytesRead } = await handle.read(new Uint8Array(BUNDLE_LOOK), 0, BUNDLE_LOOK, 0);
    const head = buffer.subarray(0, bytesRead);
    if (path.toLowerCase().endsWith(".gguf") || new TextDecoder("latin1").decode(head.subarray(0, 4)) === "GGUF") {
      const { openGgufFolder } = await import("./gguf/model-folder.ts");
      return openGgufFolder(new NodeFolder(dirname(path)), basename(path));
    }
    throw fileForFolder(path, head);
  } finally {
    await closeFile(handle);
  }
}

function fileForFolder(path: string, head: Uint8Array): SluiceError {
  if (new TextDecoder().decode(head).includes('"format":"sluice.interventions/')) {
    return new SluiceError("not_found", `${path} is a bundle of interventions, not a model's folder`, {
      hint: "Give the model's folder, and pass the bundle separately.",
      field: "bundles",
    });
  }
  const found = recognise(head.subarray(0, RECOGNISED_BYTES), "weights");
  return new SluiceError("not_found", `${path} is a file, not a folder${found ? `: it is ${found.what}` : ""}`, {
    hint: found?.hint ?? "Give the folder that holds config.json and the safetensors files.",
  });
}

class NodeFolder implements FileSource {
  readonly label: string;
  readonly #handles = new Map<string, Promise<FileHandle>>();
  /** What each file was when it was opened. */
  readonly #opened = new Map<string, string>();
  #closed = false;

  constructor(folder: string) {
    this.label = folder;
  }

  describe(path: string): string {
    return join(this.label, path);
  }

  async exists(path: string, signal?: AbortSignal): Promise<boolean> {
    this.#check(path, signal);
    try {
      return (await stat(this.describe(path))).isFile();
    } catch (cause) {
      if (isMissing(cause)) return false;
      throw unreadable(this.describe(path), cause);
    }
  }

  async size(path: string, signal?: AbortSignal): Promise<number> {
    return (await (await this.#open(path, signal)).stat()).size;
  }

  async read(path: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    checkRange(this.describe(path), begin, end);
    const handle = await this.#open(path, signal);
    // Checked before the buffer is made: a false header may name a range larger than memory.
    const { size } = await handle.stat();
    if (end > size) throw endsEarly(this.describe(path), size, end);
    const bytes = new Uint8Array(end - begin);
    let done = 0;
    while (done < bytes.length) {
      throwIfAborted(signal);
      const length = Math.min(READ_BYTES, bytes.length - done);
      const { bytesRead } = await handle.read(bytes, done, length, begin + done).catch((cause: unknown) => {
        throw unreadable(this.describe(path), cause);
      });
      if (bytesRead === 0) throw endsEarly(this.describe(path), begin + done, end);
      done += bytesRead;
    }
    throwIfAborted(signal);
    return bytes;
  }

  readAll(path: string, maxBytes?: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return readWhole(this, path, maxBytes, signal);
  }

  isForwardOnly(): boolean {
    return false;
  }

  async list(folder?: string): Promise<readonly string[]> {
    if (folder !== undefined) checkPath(folder);
    const path = folder === undefined ? this.label : join(this.label, folder);
    return readdir(path).catch((cause: unknown) => {
      if (folder !== undefined && ["ENOENT", "ENOTDIR"].includes((cause as { code?: string }).code ?? "")) return [];
      throw unreadable(path, cause);
    });
  }

  /** Another program may write into a file while it is read: what was read would then be of two files. */
  async settle(signal?: AbortSignal): Promise<void> {
    for (const [path, stamp] of this.#opened) {
      throwIfAborted(signal);
      const handle = await this.#handles.get(path);
      if (!handle || (await stampOf(handle)) === stamp) continue;
      throw new SluiceError("bad_file", `${this.describe(path)} was changed while it was read`, {
        hint: "Try again when whatever writes it is done.",
      });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const handles = await Promise.allSettled(this.#handles.values());
    this.#handles.clear();
    this.#opened.clear();
    await Promise.all(handles.map((handle) => (handle.status === "fulfilled" ? closeFile(handle.value) : undefined)));
  }

  #check(path: string, signal: AbortSignal | undefined): void {
    throwIfAborted(signal);
    if (this.#closed) throw closedSource(this.label);
    checkPath(path);
  }

  #open(path: string, signal: AbortSignal | undefined): Promise<FileHandle> {
    this.#check(path, signal);
    let handle = this.#handles.get(path);
    if (!handle) {
      handle = openFile(this.describe(path)).then(async (opened) => {
        this.#opened.set(path, await stampOf(opened));
        return opened;
      });
      this.#handles.set(path, handle);
      // A failure is not cached: the file may exist the next time.
      handle.catch(() => this.#handles.delete(path));
    }
    return handle;
  }
}

async function openFile(path: string): Promise<FileHandle> {
  // Opening a pipe would wait for whoever writes to it.
  const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  alive.take("files");
  try {
    if ((await handle.stat()).isFile()) return handle;
    throw new SluiceError("not_found", `${path} is not a file`);
  } catch (error) {
    await closeFile(handle);
    throw error;
  }
}

/** Differs if the file was written to. */
async function stampOf(handle: FileHandle): Promise<string> {
  const { size, mtimeNs } = await handle.stat({ bigint: true });
  return `${size} ${mtimeNs}`;
}

async function closeFile(handle: FileHandle): Promise<void> {
  alive.giveBack("files");
  await handle.close();
}

function isMissing(cause: unknown): boolean {
  const code = (cause as NodeJS.ErrnoException).code;
  return code === "ENOENT" || code === "ENOTDIR";
}

function unreadable(path: string, cause: unknown, hint?: string): SluiceError {
  const problem = isMissing(cause) ? "does not exist" : `cannot be read: ${(cause as Error).message}`;
  return new SluiceError("not_found", `${path} ${problem}`, { cause, ...(hint ? { hint } : {}) });
}

/** Models of the hub are often called by the second half of their names. */
function hintForMissing(path: string): string {
  return /^\w[\w.-]*$/.test(path)
    ? "A model of the Hugging Face hub is named with its owner, such as openai-community/gpt2."
    : "Give the folder that holds config.json and the safetensors files.";
}
