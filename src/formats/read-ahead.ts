/**
 * Parts of distant files, fetched ahead of whoever reads them in order: several ranges at once, so that the time that an
 * answer is on its way is paid once and not per read.
 */
import { Arrival } from "./arrival.ts";

/** Bytes [begin, end) of a file. */
export interface Span {
  readonly begin: number;
  readonly end: number;
}

/**
 * Bytes of a range. Chromium asks for the next range of a file only when the answer to the one before has begun, because
 * of its cache; so a range must take longer than that. Large as they are, they can be read before they are whole.
 */
export const RANGE_BYTES = 24 << 20;

/** Ranges under way or waiting to be read. */
const RANGES_AHEAD = 3;

/** Bytes between two spans that cost less to fetch than a request. */
const SMALL_GAP = 1 << 20;

/**
 * Fills the target with a file's bytes from `begin`.
 * @param onFilled bytes filled so far; fewer than before after a failure that is tried again
 */
export type FetchRange = (
  path: string,
  begin: number,
  target: Uint8Array<ArrayBuffer>,
  onFilled: (count: number) => void,
  signal: AbortSignal | undefined,
) => Promise<void>;

interface Range extends Span {
  readonly path: string;
  readonly signal: AbortSignal | undefined;
}

/** A range under way. */
interface Coming {
  readonly arrival: Arrival;
  /** Rejects with what ended it early. */
  readonly done: Promise<void>;
}

export class ReadAhead {
  /** In the order of reading. */
  readonly #ranges: Range[] = [];
  readonly #fetch: FetchRange;
  /** By index of the range. Those that were read are gone. */
  readonly #coming = new Map<number, Coming>();
  /** Buffers of ranges that were read: new ones would pile up until the garbage collector runs. */
  readonly #free: Uint8Array<ArrayBuffer>[] = [];
  /** The first range that is not gone. */
  #next = 0;
  /** Reads run one after another, since each lets go of what is before it. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(fetch: FetchRange) {
    this.#fetch = fetch;
  }

  /**
   * Begins to fetch parts of a file, once those of the files before it are under way.
   * @param spans in any order
   */
  add(path: string, spans: readonly Span[], signal?: AbortSignal): void {
    for (const span of joined(spans)) {
      for (let begin = span.begin; begin < span.end; ) {
        // The first ranges begin together. Smaller ones first, they do not end together too.
        const bytes = Math.ceil((RANGE_BYTES * Math.min(this.#ranges.length + 1, RANGES_AHEAD)) / RANGES_AHEAD);
        const end = Math.min(span.end, begin + bytes);
        this.#ranges.push({ path, begin, end, signal });
        begin = end;
      }
    }
    this.#request(this.#next);
  }

  /** Whether bytes [begin, end) are among those that are fetched, and not before what has been read. */
  has(path: string, begin: number, end: number): boolean {
    let index = this.#indexOf(path, begin);
    if (index < this.#next) return false;
    for (let reached = begin; ; index++) {
      const range = this.#ranges[index];
      if (range?.path !== path || range.begin > reached) return false;
      reached = range.end;
      if (reached >= end) return true;
    }
  }

  /**
   * Fills the target with the bytes from `begin`. Earlier ranges are let go.
   * @returns false, with nothing filled, unless {@link has} says that they are there when it is this read's turn
   */
  read(path: string, begin: number, target: Uint8Array): Promise<boolean> {
    const read = this.#turn.then(() => this.has(path, begin, begin + target.length) && this.#read(path, begin, target));
    // The next read only waits for this one, whose failure goes to its own caller.
    this.#turn = read.catch(() => undefined);
    return read;
  }

  async #read(path: string, begin: number, target: Uint8Array): Promise<boolean> {
    let index = this.#indexOf(path, begin);
    for (let done = 0; done < target.length; index++) {
      for (; this.#next < index; this.#next++) this.#letGo(this.#next);
      this.#request(index);
      const { arrival, done: whole } = this.#coming.get(index) as Coming;
      const range = this.#ranges[index] as Range;
      const from = begin + done - range.begin;
      const count = Math.min(target.length - done, range.end - range.begin - from);
      if (!(await arrival.has(from + count))) await whole;
      target.set(arrival.bytes.subarray(from, from + count), done);
      done += count;
    }
    return true;
  }

  #letGo(index: number): void {
    const coming = this.#coming.get(index);
    this.#coming.delete(index);
    // Nothing is written to it any more then.
    coming?.done.then(
      () => this.#free.push(new Uint8Array(coming.arrival.bytes.buffer)),
      () => undefined,
    );
  }

  /** Requests a range and those after it, as many as may be ahead. */
  #request(first: number): void {
    const end = Math.min(first + RANGES_AHEAD, this.#ranges.length);
    for (let index = first; index < end; index++) {
      if (!this.#coming.has(index)) this.#coming.set(index, this.#open(index));
    }
  }

  #open(index: number): Coming {
    const { path, begin, end, signal } = this.#ranges[index] as Range;
    const buffer = this.#free.pop() ?? new Uint8Array(RANGE_BYTES);
    const arrival = new Arrival(buffer.subarray(0, end - begin));
    const done = this.#fetch(path, begin, arrival.bytes, (count) => arrival.reached(count), signal).then(
      () => arrival.reached(end - begin),
      (error: unknown) => {
        // Whoever reads the range gets its error, and the next read tries again.
        this.#coming.delete(index);
        arrival.end();
        throw error;
      },
    );
    // Not every range is read.
    done.catch(() => undefined);
    return { arrival, done };
  }

  /** The range that holds a byte, or -1. */
  #indexOf(path: string, position: number): number {
    return this.#ranges.findIndex((range) => range.path === path && range.begin <= position && position < range.end);
  }
}

/** Spans in order, neighbours as one. */
function joined(spans: readonly Span[]): readonly Span[] {
  const result: Span[] = [];
  for (const { begin, end } of [...spans].sort((a, b) => a.begin - b.begin)) {
    const last = result.at(-1);
    if (last && begin - last.end <= SMALL_GAP)
      result.push({ begin: (result.pop() as Span).begin, end: Math.max(last.end, end) });
    else result.push({ begin, end });
  }
  return result;
}
