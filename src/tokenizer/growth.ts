/** Bounds how much the steps of tokenizer.json can lengthen a text: each can double it, and there can be many. */
import { SluiceError } from "../errors.ts";

/** No real tokenizer comes near this factor: U+FDFA, the worst, decomposes into 18 characters, which take 35 bytes. */
const FACTOR = 64;
const BASE = 2 ** 20;

export class Growth {
  #most = 0;

  /** Begins with a text. @param length in UTF-16 units */
  begin(length: number): void {
    this.#most = BASE + FACTOR * length;
  }

  /**
   * @param length of the rewritten text, or of what it is about to become
   * @throws SluiceError `bad_file` if that is far longer than the text
   */
  check(length: number): void {
    if (length <= this.#most) return;
    throw new SluiceError("bad_file", `tokenizer.json makes this text more than ${FACTOR} times as long as it is`, {
      hint: "Its normalizer or pre-tokenizer replaces short texts by long ones: download the file again.",
    });
  }
}
