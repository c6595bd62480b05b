/** Model files that a user picked in a page, or dropped there. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import { checkRange, closedSource, endsEarly, type FileSource, readWhole } from "./source.ts";

/**
 * @param files of one model's folder. If they were picked as a folder, their paths are relative to it;
 *   if picked singly, a file is known by its name.
 * @throws `usage` for no files, or two with one name
 */
export function openFiles(files: readonly File[]): FileSource {
  return new FileList(files);
}

class FileList implements FileSource {
  readonly label: string;
  readonly #files = new Map<string, File>();
  #closed = false;

  constructor(files: readonly File[]) {
    const first = files[0];
    if (!first) throw new SluiceError("usage", "No files were chosen", { hint: "Choose the model's folder." });
    this.label = folderOf(first) ?? "the chosen files";
    for (const file of files) {
      const path = file.webkitRelativePath ? file.webkitRelativePath.split("/").slice(1).join("/") : file.name;
      if (this.#files.has(path)) {
        throw new SluiceError("usage", `Two of the chosen files are called ${path}`, {
          hint: "Choose one model's folder.",
        });
      }
      this.#files.set(path, file);
    }
  }

  describe(path: string): string {
    return `${this.label}: ${path}`;
  }

  async exists(path: string, signal?: AbortSignal): Promise<boolean> {
    this.#check(signal);
    return this.#files.has(path);
  }

  async size(path: string, signal?: AbortSignal): Promise<number> {
    this.#check(signal);
    return this.#find(path).size;
  }

  async read(path: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    this.#check(signal);
    checkRange(this.describe(path), begin, end);
    const file = this.#find(path);
    if (end > file.size) throw endsEarly(this.describe(path), file.size, end);
    const bytes = await file
      .slice(begin, end)
      .arrayBuffer()
      .catch((cause: unknown) => {
        throw new SluiceError("not_found", `${this.describe(path)} cannot be read`, {
          hint: "It may have been changed, moved or deleted since it was chosen. Choose the files again.",
          cause,
        });
      });
    this.#check(signal);
    return new Uint8Array(bytes);
  }

  readAll(path: string, maxBytes?: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return readWhole(this, path, maxBytes, signal);
  }

  isForwardOnly(): boolean {
    return false;
  }

  async list(folder?: string): Promise<readonly string[]> {
    const paths = [...this.#files.keys()];
    if (folder === undefined) return paths;
    const prefix = `${folder}/`;
    return paths.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#files.clear();
  }

  #check(signal: AbortSignal | undefined): void {
    throwIfAborted(signal);
    if (this.#closed) throw closedSource(this.label);
  }

  #find(path: string): File {
    const file = this.#files.get(path);
    if (file) return file;
    throw new SluiceError("not_found", `${path} is not among the files of ${this.label}`, {
      hint: "Choose the model's whole folder: config.json, the safetensors files, tokenizer.json.",
    });
  }
}

function folderOf(file: File): string | null {
  return file.webkitRelativePath?.includes("/") ? (file.webkitRelativePath.split("/")[0] ?? null) : null;
}
