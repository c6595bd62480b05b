/** Files as a page gets them from a picked folder. Node's own take a hundred times as long to make. */
import type { Files } from "./target.ts";

class PickedFile {
  readonly name: string;
  readonly webkitRelativePath: string;
  readonly #content: Uint8Array<ArrayBuffer>;

  constructor(path: string, content: Uint8Array<ArrayBuffer>) {
    this.name = path.replace(/^.*\//, "");
    this.webkitRelativePath = `model/${path}`;
    this.#content = content;
  }

  get size(): number {
    return this.#content.length;
  }

  slice(begin: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> } {
    return { arrayBuffer: async () => this.#content.slice(begin, end).buffer };
  }
}

// What is handed to the library must be a Blob by its class.
Object.setPrototypeOf(PickedFile.prototype, Blob.prototype);

export function picked(files: Files): File[] {
  return [...files].map(([path, content]) => new PickedFile(path, content) as unknown as File);
}
