/**
 * The order of the rows of query and key heads. llama.cpp rotates neighbours, so its writer puts the two rows of each pair
 * next to each other: row 2i + h of a head is row h·(width/2) + i in a Hugging Face folder.
 */
export class HeadOrder {
  readonly #width: number;

  /** @param width rows of a head */
  constructor(width: number) {
    this.#width = width;
  }

  /**
   * Bytes [begin, end) of the tensor with its rows in the folder's order.
   * @param read bytes of the tensor in llama.cpp's order
   * @param rowBytes of one row
   */
  async readBytes(
    read: (begin: number, end: number) => Promise<Uint8Array>,
    rowBytes: number,
    begin: number,
    end: number,
  ): Promise<Uint8Array> {
    const width = this.#width;
    const headBytes = width * rowBytes;
    const first = Math.floor(begin / headBytes) * headBytes;
    const stored = await read(first, Math.ceil(end / headBytes) * headBytes);
    const ordered = new Uint8Array(stored.length);
    for (let row = 0; row * rowBytes < stored.length; row++) {
      const within = row % width;
      const from = row - within + 2 * (within % (width / 2)) + Math.floor(within / (width / 2));
      ordered.set(stored.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
    }
    return ordered.slice(begin - first, end - first);
  }
}
