/** The part of the stage table in which programs lie: they come and go while a batch runs, and nothing is compiled. */
import type { ProgramLayout } from "../../compile/programs.ts";
import { SluiceError } from "../../errors.ts";

/** The stage table on the device. */
export interface TableBuffer {
  /** Writes words from a vec4 on. */
  write(at4: number, words: Uint32Array<ArrayBuffer>): void;
  /** Makes room for that many vec4s. @returns whether what was there is lost */
  grow(count4: number): boolean;
  /** vec4s that there can be. */
  readonly most: number;
}

/** Where a program lies. */
export interface ProgramBlock {
  /** The vec4 of its directory. */
  readonly at: number;
  readonly words: Uint32Array<ArrayBuffer>;
}

export class ProgramStore {
  readonly layout: ProgramLayout;
  readonly #table: TableBuffer;
  readonly #blocks = new Set<ProgramBlock>();
  /** vec4s without a program, by place. */
  #free: { at: number; count: number }[] = [];
  #end: number;
  /** The program that does nothing. */
  readonly empty: ProgramBlock;
  /** How often the table was lost; what others wrote there is to be written again. */
  losses = 0;

  constructor(layout: ProgramLayout, table: TableBuffer) {
    this.layout = layout;
    this.#table = table;
    this.#end = layout.end;
    this.#writeShared();
    this.empty = this.add(() => Uint32Array.from(layout.directory));
  }

  /** Bytes of all programs. */
  get byteLength(): number {
    return [...this.#blocks].reduce((sum, { words }) => sum + words.byteLength, 0);
  }

  /**
   * Adds a program.
   * @param build makes its words for the vec4 at which it will begin; their number does not depend on that
   * @throws SluiceError `device_limit`
   */
  add(build: (at4: number) => Uint32Array<ArrayBuffer>): ProgramBlock {
    const at = this.#take(build(0).length / 4);
    const block: ProgramBlock = { at, words: build(at) };
    this.#blocks.add(block);
    this.#table.write(at, block.words);
    return block;
  }

  /** Removes a program that no later step goes through. */
  remove(block: ProgramBlock): void {
    if (!this.#blocks.delete(block)) return;
    this.#free.push({ at: block.at, count: block.words.length / 4 });
    this.#free.sort((a, b) => a.at - b.at);
    const joined: { at: number; count: number }[] = [];
    for (const each of this.#free) {
      const last = joined.at(-1);
      if (last && last.at + last.count === each.at) last.count += each.count;
      else joined.push(each);
    }
    this.#free = joined;
  }

  #take(count: number): number {
    const hole = this.#free.find((each) => each.count >= count);
    if (hole) {
      const { at } = hole;
      hole.at += count;
      hole.count -= count;
      return at;
    }
    const end = this.#end + count;
    if (end > this.#table.most) {
      throw new SluiceError(
        "device_limit",
        `The bundles of this batch would take ${end * 16} bytes, and this device binds at most ${this.#table.most * 16}`,
        { hint: "Remove some that are not needed." },
      );
    }
    if (this.#table.grow(end)) this.#writeAll();
    const at = this.#end;
    this.#end = end;
    return at;
  }

  #writeAll(): void {
    this.losses++;
    this.#writeShared();
    for (const { at, words } of this.#blocks) this.#table.write(at, words);
  }

  #writeShared(): void {
    for (const { at, words } of this.layout.shared) this.#table.write(at, Uint32Array.from(words));
  }
}
