/** What an interrupted fit has measured, in a file next to its result: bound to the inputs, or not taken up again. */
import { createHash } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { SluiceError } from "../errors.ts";
import type { ResponseStore } from "../fit/responses.ts";
import { parseSafetensors, storeFloat32, toFloat32, writeSafetensors } from "../formats/safetensors.ts";

export class FileStore implements ResponseStore {
  readonly path: string;
  readonly #fingerprint: string;
  readonly #parts = new Map<string, Float32Array<ArrayBuffer>>();

  /**
   * Opens `OUT.partial`, or begins it.
   * @param inputs everything that the measured values depend on
   * @throws SluiceError `usage` if the file belongs to other inputs
   */
  static async open(out: string, inputs: unknown): Promise<FileStore> {
    const store = new FileStore(`${out}.partial`, createHash("sha256").update(JSON.stringify(inputs)).digest("hex"));
    const bytes = await readFile(store.path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "ENOENT") return null;
      throw new SluiceError("not_found", `${store.path} cannot be read: ${cause.message}`, { cause });
    });
    if (!bytes) return store;
    const { tensors, metadata } = parseSafetensors(bytes, store.path);
    if (metadata.get("inputs") !== store.#fingerprint) {
      throw new SluiceError("usage", `${store.path} was left by a fit with another model, other sentences or options`, {
        hint: "Delete it to begin anew, or name another --out.",
      });
    }
    for (const [part, tensor] of tensors) store.#parts.set(part, toFloat32(tensor));
    return store;
  }

  constructor(path: string, fingerprint: string) {
    this.path = path;
    this.#fingerprint = fingerprint;
  }

  /** Whether something was left by an earlier run. */
  get isBegun(): boolean {
    return this.#parts.size > 0;
  }

  async load(part: string): Promise<Float32Array<ArrayBuffer> | null> {
    return this.#parts.get(part) ?? null;
  }

  async save(part: string, rows: Float32Array<ArrayBuffer>): Promise<void> {
    this.#parts.set(part, rows);
    const tensors = [...this.#parts].map(([name, values]) => [name, storeFloat32(values, [values.length])] as const);
    const temporary = `${this.path}.tmp`;
    await writeFile(temporary, writeSafetensors(new Map(tensors), { inputs: this.#fingerprint }));
    await rename(temporary, this.path);
  }

  /** Once the result is written there is nothing to go on with. */
  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }
}
