/**
 * Parts of a distant file, fetched ahead of whoever reads them in order: several ranges at once, so that the time that an
 * answer is on its way is paid once and not per read.
 */

/** Bytes [begin, end) of a file. */
export interface Span {
  readonly begin: number;
  readonly end: number;
}

/** Bytes of a range: many enough that its request costs little, few enough that the first is there soon. */
const RANGE_BYTES = 8 << 20;

/** Ranges under way or waiting to be read: six are the connections that browsers open to one server. */
const RANGES_AHEAD = 6;

/** Bytes between two spans that cost less to fetch than a request. */
const SMALL_GAP = 1 << 20;

export class ReadAhead {
  /** Ascending. */
  readonly #ranges: readonly Span[];
  readonly #fetch: (begin: number, target: Uint8Array<ArrayBuffer>) => Promise<void>;
  /** By index of the range. Those that were read are gone. */
  readonly #fetched = new Map<number, Promise<Uint8Array>>();
  /** The first range that is not gone. */
  #next = 0;

  /**
   * @param spans in any order
   * @param fetch fills the target with the file's bytes from `begin`
   */
  constructor(spans: readonly Span[], fetch: (begin: number, target: Uint8Array<ArrayBuffer>) => Promise<void>) {
    this.#ranges = joined(spans).flatMap(cut);
    this.#fetch = fetch;
  }

  /** Begins before anything is read. */
  start(): void {
    this.#request(0);
  }

  /** Whether bytes [begin, end) are among those that are fetched, and not before what has been read. */
  has(begin: number, end: number): boolean {
    let index = this.#indexOf(begin);
    if (index < this.#next) return false;
    while (index + 1 < this.#ranges.length && this.#ranges[index + 1]?.begin === this.#ranges[index]?.end) {
      if ((this.#ranges[index] as Span).end >= end) break;
      index += 1;
    }
    return (this.#ranges[index]?.end ?? 0) >= end;
  }

  /** Fills the target with the bytes from `begin`, if {@link has} says that they are there. Earlier ranges are let go. */
  async read(begin: number, target: Uint8Array): Promise<void> {
    let index = this.#indexOf(begin);
    for (; this.#next < index; this.#next++) this.#fetched.delete(this.#next);
    for (let done = 0; done < target.length; index++) {
      this.#request(index);
      const bytes = (await this.#fetched.get(index)) as Uint8Array;
      const part = bytes.subarray(begin + done - (this.#ranges[index] as Span).begin).subarray(0, target.length - done);
      target.set(part, done);
      done += part.length;
    }
  }

  /** Requests a range and those after it, as many as may be ahead. */
  #request(first: number): void {
    const end = Math.min(first + RANGES_AHEAD, this.#ranges.length);
    for (let index = first; index < end; index++) {
      if (!this.#fetched.has(index)) this.#fetched.set(index, this.#open(index));
    }
  }

  #open(index: number): Promise<Uint8Array> {
    const { begin, end } = this.#ranges[index] as Span;
    const bytes = new Uint8Array(end - begin);
    const range = this.#fetch(begin, bytes).then(() => bytes);
    // Whoever reads the range gets its error, and the next read tries again.
    range.catch(() => this.#fetched.delete(index));
    return range;
  }

  /** The range that holds a byte, or -1. */
  #indexOf(position: number): number {
    return this.#ranges.findIndex(({ begin, end }) => begin <= position && position < end);
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

function cut({ begin, end }: Span): readonly Span[] {
  return Array.from({ length: Math.ceil((end - begin) / RANGE_BYTES) }, (_, i) => ({
    begin: begin + i * RANGE_BYTES,
    end: Math.min(end, begin + (i + 1) * RANGE_BYTES),
  }));
}
