/**
 * Reads weights once, from the first byte to the last, for a server that always sends the whole file, where a step
 * back is another download. Tensors used as stored stream through. If a result needs several tensors, or reads one
 * out of order, its tensors are held until the last has come: in the usual order of files, about a layer's worth.
 */
import { throwIfAborted } from "../errors.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import type { MatrixSource } from "./matrix-source.ts";

/** A result made of tensors, all of which it needs. */
export interface Need {
  readonly tensors: readonly string[];
  /** Whether it reads its tensor from beginning to end and never steps back. */
  readonly streams: boolean;
}

export function needOf({ rows, inTurns = false }: MatrixSource, { quantized }: Pick<Checkpoint, "quantized">): Need {
  const tensors = new Set(rows.flatMap(({ tensor }) => quantized?.get(tensor)?.tensors ?? [tensor]));
  const [span, ...others] = rows;
  const streams = span !== undefined && others.length === 0 && !span.transposed && !span.order && !inTurns;
  return { tensors: [...tensors], streams: streams && tensors.size === 1 };
}

/** A checkpoint that answers from memory for held tensors. */
export class HeldTensors implements Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly quantized: NonNullable<Checkpoint["quantized"]>;
  readonly #from: Checkpoint;
  readonly #held = new Map<string, Uint8Array>();

  constructor(from: Checkpoint) {
    this.#from = from;
    this.tensors = from.tensors;
    this.quantized = from.quantized ?? new Map();
  }

  /** Reads a whole tensor and keeps it until it is released. */
  async hold(name: string, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal);
    this.#held.set(name, await this.#from.read(name, 0, this.tensors.get(name)?.byteLength ?? 0, signal));
  }

  release(name: string): void {
    this.#held.delete(name);
  }

  async read(name: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array> {
    const held = this.#held.get(name);
    if (!held) return this.#from.read(name, begin, end, signal);
    // Nobody writes to it, but views of words need a place for words.
    return begin % 4 === 0 ? held.subarray(begin, end) : held.slice(begin, end);
  }

  close(): Promise<void> {
    this.#held.clear();
    return this.#from.close();
  }
}

/**
 * Yields all needs, each as soon as the file has passed the last tensor that it needs. A caller reads the tensors of a
 * need before it asks for the next one, which releases tensors that nothing else needs.
 */
export async function* inFileOrder<T extends { readonly need: Need }>(
  checkpoint: HeldTensors,
  things: readonly T[],
  signal: AbortSignal | undefined,
): AsyncGenerator<T> {
  const neededBy = new Map<string, Set<T>>();
  const missing = new Map<T, number>();
  for (const thing of things) {
    missing.set(thing, thing.need.tensors.length);
    for (const name of thing.need.tensors) {
      const users = neededBy.get(name) ?? new Set<T>();
      neededBy.set(name, users.add(thing));
    }
    if (thing.need.tensors.length === 0) yield thing;
  }
  for (const name of checkpoint.tensors.keys()) {
    const users = neededBy.get(name);
    if (!users) continue;
    const [first, ...others] = users;
    if (!first?.need.streams || others.length > 0) await checkpoint.hold(name, signal);
    for (const thing of users) {
      const left = (missing.get(thing) ?? 0) - 1;
      missing.set(thing, left);
      if (left > 0) continue;
      yield thing;
      for (const used of thing.need.tensors) {
        neededBy.get(used)?.delete(thing);
        if (neededBy.get(used)?.size === 0) checkpoint.release(used);
      }
    }
  }
}
