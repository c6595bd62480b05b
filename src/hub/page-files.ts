/**
 * Named contents in a page's own storage, which what a page keeps is made of: in OPFS (its origin's private file system),
 * in the Cache API where OPFS is missing or cannot be written to, and in memory where there is neither.
 */

/** Names are paths with `/` between folders. What is written is there as a whole or not at all. */
export interface PageFiles {
  /** Whether it outlives the page. */
  readonly isLasting: boolean;
  /** Null if there is no such file. */
  read(path: string): Promise<Blob | null>;
  write(path: string, contents: Uint8Array<ArrayBuffer> | string): Promise<void>;
  /** Removes a file, or a folder with everything in it, if it is there. */
  remove(path: string): Promise<void>;
  /** Names of the files and folders right inside a folder, sorted; empty if there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
}

/** All that this package keeps is in a folder, or a cache, of this name. */
const NAME = "sluice-models";

export async function openPageFiles(): Promise<PageFiles> {
  return (await openOpfs()) ?? (await openCacheApi()) ?? new MemoryFiles();
}

/** Null where it is missing, as on insecure pages, and where a page's thread cannot write to it, as in older Safaris. */
async function openOpfs(): Promise<PageFiles | null> {
  if (!("createWritable" in (globalThis.FileSystemFileHandle?.prototype ?? {}))) return null;
  try {
    const root = await navigator.storage.getDirectory();
    return new OpfsFiles(await root.getDirectoryHandle(NAME, { create: true }));
  } catch {
    // Private windows of some browsers refuse it.
    return null;
  }
}

async function openCacheApi(): Promise<PageFiles | null> {
  try {
    return globalThis.caches ? new CacheFiles(await caches.open(NAME)) : null;
  } catch {
    return null;
  }
}

/** What TypeScript's DOM library does not declare of directories. */
interface Directory extends FileSystemDirectoryHandle {
  keys(): AsyncIterableIterator<string>;
}

class OpfsFiles implements PageFiles {
  readonly isLasting = true;
  readonly #root: FileSystemDirectoryHandle;

  constructor(root: FileSystemDirectoryHandle) {
    this.#root = root;
  }

  async read(path: string): Promise<Blob | null> {
    return orNull(async () => {
      const { folder, name } = await this.#place(path, false);
      return (await folder.getFileHandle(name)).getFile();
    });
  }

  async write(path: string, contents: Uint8Array<ArrayBuffer> | string): Promise<void> {
    const { folder, name } = await this.#place(path, true);
    const writable = await (await folder.getFileHandle(name, { create: true })).createWritable();
    try {
      await writable.write(contents);
      await writable.close();
    } catch (error) {
      // It fails again with the same reason, which the caller gets.
      await writable.abort().catch(() => undefined);
      throw error;
    }
  }

  async remove(path: string): Promise<void> {
    await orNull(async () => {
      const { folder, name } = await this.#place(path, false);
      await folder.removeEntry(name, { recursive: true });
      return true;
    });
  }

  async list(path: string): Promise<readonly string[]> {
    const names = await orNull(async () => {
      const { folder, name } = await this.#place(path, false);
      const found: string[] = [];
      for await (const key of ((await (name === "" ? folder : folder.getDirectoryHandle(name))) as Directory).keys()) {
        found.push(key);
      }
      return found.sort();
    });
    return names ?? [];
  }

  async #place(path: string, create: boolean): Promise<{ folder: FileSystemDirectoryHandle; name: string }> {
    const parts = path.split("/");
    const name = parts.pop() as string;
    let folder = this.#root;
    for (const part of parts) folder = await folder.getDirectoryHandle(part, { create });
    return { folder, name };
  }
}

/** Null for what is not there. */
async function orNull<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (["NotFoundError", "TypeMismatchError"].includes((error as DOMException).name)) return null;
    throw error;
  }
}

class CacheFiles implements PageFiles {
  readonly isLasting = true;
  readonly #cache: Cache;

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  async read(path: string): Promise<Blob | null> {
    return (await this.#cache.match(addressOf(path)))?.blob() ?? null;
  }

  async write(path: string, contents: Uint8Array<ArrayBuffer> | string): Promise<void> {
    await this.#cache.put(addressOf(path), new Response(contents));
  }

  async remove(path: string): Promise<void> {
    const [file, folder] = [addressOf(path), addressOf(`${path}/`)];
    const gone = (await this.#cache.keys()).filter(({ url }) => url === file || url.startsWith(folder));
    await Promise.all(gone.map((request) => this.#cache.delete(request)));
  }

  async list(folder: string): Promise<readonly string[]> {
    return namesIn(
      folder,
      (await this.#cache.keys()).map(({ url }) => url.slice(addressOf("").length)),
    );
  }
}

/** The Cache API's keys are addresses; this one is never asked for. */
function addressOf(path: string): string {
  return `${location.origin}/${NAME}/${path}`;
}

class MemoryFiles implements PageFiles {
  readonly isLasting = false;
  readonly #files = new Map<string, Blob>();

  async read(path: string): Promise<Blob | null> {
    return this.#files.get(path) ?? null;
  }

  async write(path: string, contents: Uint8Array<ArrayBuffer> | string): Promise<void> {
    this.#files.set(path, new Blob([contents]));
  }

  async remove(path: string): Promise<void> {
    for (const key of [...this.#files.keys()]) {
      if (key === path || key.startsWith(`${path}/`)) this.#files.delete(key);
    }
  }

  async list(folder: string): Promise<readonly string[]> {
    return namesIn(folder, [...this.#files.keys()]);
  }
}

/** First parts of the paths below a folder. */
function namesIn(folder: string, paths: readonly string[]): readonly string[] {
  const prefix = folder === "" ? "" : `${folder}/`;
  const inside = paths.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
  return [...new Set(inside.map((path) => path.split("/")[0] as string))].sort();
}
