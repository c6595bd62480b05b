/** Reads zip archives from memory by their central directory: PyTorch's files and NumPy's archives. */
import { SluiceError } from "../errors.ts";
import { showText } from "../show.ts";

interface Entry {
  readonly method: number;
  /** Where its local header begins. */
  readonly header: number;
  readonly packedBytes: number;
  readonly bytes: number;
}

const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const END = 0x06054b50;
const END_64 = 0x06064b50;
const LOCATOR_64 = 0x07064b50;
const UNKNOWN_32 = 0xffffffff;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED_FLAG = 1;

/** Of the archive's last record: 22 bytes, then a comment of up to 65,535. */
const END_BYTES = 22;
const MOST_COMMENT = 0xffff;

/** What an archive may hold once unpacked, beside eight times its own size: more is a bomb. */
const MOST_UNPACKED = 48 << 20;

export class ZipFile {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #where: string;
  readonly #entries = new Map<string, Entry>();
  /** Bytes that entries may still unpack to. */
  #room: number;

  /**
   * @param where names the file in errors
   * @throws `bad_file`
   */
  constructor(bytes: Uint8Array, where: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#where = where;
    this.#room = 8 * bytes.length + MOST_UNPACKED;
    this.#readDirectory();
    this.#checkOverlaps();
  }

  get names(): readonly string[] {
    return [...this.#entries.keys()];
  }

  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** The bytes of an entry that is stored as it is: a view. @throws `bad_file` */
  stored(name: string): Uint8Array {
    const entry = this.#entry(name);
    if (entry.method !== STORED) throw this.#bad(`has ${showText(name)} compressed, which PyTorch never does`);
    if (entry.packedBytes !== entry.bytes) throw this.#bad(`contradicts itself about the size of ${showText(name)}`);
    return this.#packed(name, entry);
  }

  /** The bytes of an entry, unpacked. @throws `bad_file` */
  async read(name: string): Promise<Uint8Array> {
    const entry = this.#entry(name);
    if (entry.method === STORED) return this.stored(name);
    if (entry.method !== DEFLATED) throw this.#bad(`has ${showText(name)} in a compression other than deflate`);
    if (entry.bytes > this.#room)
      throw this.#bad(`unpacks to far more than it has: ${showText(name)} to ${entry.bytes} bytes`);
    this.#room -= entry.bytes;
    const packed = new Uint8Array(this.#packed(name, entry));
    const result = new Uint8Array(entry.bytes);
    let at = 0;
    const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
    try {
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        // What unpacks to more than it says is a bomb: it is not read on.
        if (at + part.value.length > result.length) throw this.#bad(`has more in ${showText(name)} than it says`);
        result.set(part.value, at);
        at += part.value.length;
      }
    } catch (cause) {
      if (cause instanceof SluiceError) throw cause;
      throw this.#bad(`has ${showText(name)} damaged`);
    } finally {
      // The stream may have failed already, which is reported above.
      await reader.cancel().catch(() => undefined);
    }
    if (at !== result.length) throw this.#bad(`has less in ${showText(name)} than it says`);
    return result;
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (!entry) throw this.#bad(`has no entry ${showText(name)}`);
    return entry;
  }

  /** Entries that share bytes make of a small archive as much as they like. */
  #checkOverlaps(): void {
    const placed = [...this.#entries].sort(([, a], [, b]) => a.header - b.header);
    placed.forEach(([name, { header, packedBytes }], i) => {
      const next = placed[i + 1]?.[1].header ?? Number.POSITIVE_INFINITY;
      if (header + 30 + packedBytes > next) throw this.#bad(`has other entries within ${showText(name)}`);
    });
  }

  #packed(name: string, { header, packedBytes }: Entry): Uint8Array {
    // The name and the extra field of the local header may be longer or shorter than those of the directory.
    if (header + 30 > this.#bytes.length || this.#view.getUint32(header, true) !== LOCAL) {
      throw this.#bad(`has no contents for ${showText(name)}`);
    }
    const begin = header + 30 + this.#view.getUint16(header + 26, true) + this.#view.getUint16(header + 28, true);
    if (begin + packedBytes > this.#bytes.length) throw this.#bad(`ends within ${showText(name)}`);
    return this.#bytes.subarray(begin, begin + packedBytes);
  }

  #readDirectory(): void {
    const view = this.#view;
    let { count, at } = this.#findDirectory();
    for (; count > 0; count--) {
      if (at + 46 > view.byteLength || view.getUint32(at, true) !== CENTRAL) throw this.#bad("has a damaged directory");
      const nameBytes = view.getUint16(at + 28, true);
      const extraBytes = view.getUint16(at + 30, true);
      const next = at + 46 + nameBytes + extraBytes + view.getUint16(at + 32, true);
      if (next > view.byteLength) throw this.#bad("has a damaged directory");
      if ((view.getUint16(at + 8, true) & ENCRYPTED_FLAG) !== 0) throw this.#bad("is encrypted");
      const name = new TextDecoder().decode(this.#bytes.subarray(at + 46, at + 46 + nameBytes));
      const [bytes, packedBytes, header] = this.#sizes(at, at + 46 + nameBytes, extraBytes);
      if (this.#entries.has(name)) throw this.#bad(`has two entries ${showText(name)}`);
      this.#entries.set(name, { method: view.getUint16(at + 10, true), bytes, packedBytes, header });
      at = next;
    }
  }

  /** Unpacked size, packed size and offset of an entry; those that do not fit 32 bits are in zip64's extra field. */
  #sizes(at: number, extra: number, extraBytes: number): readonly [number, number, number] {
    const view = this.#view;
    const short = [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)];
    let field = extra;
    while (field + 4 <= extra + extraBytes && view.getUint16(field, true) !== 1) {
      field += 4 + view.getUint16(field + 2, true);
    }
    let long = field + 4;
    const [bytes, packed, header] = short.map((value) => {
      if (value !== UNKNOWN_32) return value;
      if (long + 8 > extra + extraBytes) throw this.#bad("has a damaged directory");
      long += 8;
      return this.#u64(long - 8);
    });
    return [bytes as number, packed as number, header as number];
  }

  #findDirectory(): { count: number; at: number } {
    const view = this.#view;
    const least = Math.max(0, view.byteLength - END_BYTES - MOST_COMMENT);
    for (let at = view.byteLength - END_BYTES; at >= least; at--) {
      if (view.getUint32(at, true) !== END) continue;
      const locator = at - 20;
      if (locator >= 0 && view.getUint32(locator, true) === LOCATOR_64) {
        const end = this.#u64(locator + 8);
        if (end + 56 > view.byteLength || view.getUint32(end, true) !== END_64) break;
        return { count: this.#u64(end + 32), at: this.#u64(end + 48) };
      }
      return { count: view.getUint16(at + 10, true), at: view.getUint32(at + 16, true) };
    }
    throw this.#bad("is a zip archive without its end");
  }

  /** Rounded beyond 2⁵³: no file is that long, so such a value is refused all the same. */
  #u64(at: number): number {
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
  }

  #bad(problem: string): SluiceError {
    return new SluiceError("bad_file", `${this.#where} ${problem}`, {
      hint: "The file is damaged or cut short. Get it again from a trusted place.",
    });
  }
}
