/** What shards leave ready for later ones: things that take long to make, such as programs on the device. */

/** Something that holds memory of the device until it is disposed of. */
export interface Held {
  /** Of the device's memory. */
  readonly bytes: number;
  /** Frees it. */
  dispose(): void;
}

/** More is kept only if there are few things: a step of a fit of few texts needs four. */
const MOST_BYTES = 1 << 30;
const FEW = 4;

/** Things by the names of what they are made for. Each is used by one shard at a time, and the least recently used go first. */
export class Kept {
  /** Nobody uses these at the moment; the oldest is first. */
  readonly #idle = new Map<string, Held>();
  #isDisposed = false;

  /**
   * Calls `use` with the thing of that name, which `open` makes if none is kept. One that `use` fails with is not kept.
   * @param name says all that the thing is made of, its type included
   */
  async with<Thing extends Held, Result>(
    name: string,
    open: () => Promise<Thing>,
    use: (thing: Thing) => Promise<Result>,
  ): Promise<Result> {
    const kept = this.#idle.get(name) as Thing | undefined;
    this.#idle.delete(name);
    const thing = kept ?? (await open());
    let isWell = false;
    try {
      const result = await use(thing);
      isWell = true;
      return result;
    } finally {
      // Another of its name may have been opened meanwhile.
      if (isWell && !this.#isDisposed && !this.#idle.has(name)) this.#keep(name, thing);
      else thing.dispose();
    }
  }

  /** Disposes of everything, and of what is in use once it is not. */
  dispose(): void {
    this.#isDisposed = true;
    for (const thing of this.#idle.values()) thing.dispose();
    this.#idle.clear();
  }

  #keep(name: string, thing: Held): void {
    this.#idle.set(name, thing);
    let bytes = 0;
    for (const held of this.#idle.values()) bytes += held.bytes;
    for (const [oldest, held] of this.#idle) {
      if (bytes <= MOST_BYTES || this.#idle.size <= FEW) return;
      this.#idle.delete(oldest);
      bytes -= held.bytes;
      held.dispose();
    }
  }
}
