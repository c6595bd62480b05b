/** Matrices with their axes exchanged, for files that hold GPT-2's linear weights outputs first. */

/** @param bytes of a matrix of that many rows and columns, whose elements have 4 or 2 bytes */
export function turn(bytes: Uint8Array<ArrayBuffer>, rows: number, columns: number): Uint8Array<ArrayBuffer> {
  const count = rows * columns;
  const [from, to] =
    bytes.length === 4 * count
      ? [new Uint32Array(bytes.buffer, bytes.byteOffset, count), new Uint32Array(count)]
      : [new Uint16Array(bytes.buffer, bytes.byteOffset, count), new Uint16Array(count)];
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0, target = row; column < columns; column++, target += rows) to[target] = from[at++] as number;
  }
  return new Uint8Array(to.buffer);
}

/** Keeps the last matrix, whole, since its readers ask for parts of it one after another. */
export class LastTurned {
  #last: { readonly name: string; readonly bytes: Promise<Uint8Array> } | undefined;

  /**
   * Bytes [begin, end) of a turned matrix.
   * @param make reads the matrix and turns it
   */
  async read(name: string, begin: number, end: number, make: () => Promise<Uint8Array>): Promise<Uint8Array> {
    if (this.#last?.name !== name) {
      const bytes = make();
      this.#last = { name, bytes };
      // A failure is not kept: the next read tries again.
      bytes.catch(() => this.clear());
    }
    return (await this.#last.bytes).slice(begin, end);
  }

  clear(): void {
    this.#last = undefined;
  }
}
