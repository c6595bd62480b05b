/** A tuning store that ends with the test. */
import type { TuningStore } from "../../src/tune/remembered.ts";

export class MemoryStore implements TuningStore {
  readonly texts: Map<string, string>;

  constructor(texts: Iterable<readonly [name: string, text: string]> = []) {
    this.texts = new Map(texts);
  }

  place(name: string): string {
    return `memory of ${name}`;
  }

  async read(name: string): Promise<string | null> {
    return this.texts.get(name) ?? null;
  }

  async write(name: string, text: string): Promise<void> {
    this.texts.set(name, text);
  }
}
