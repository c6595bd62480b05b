/** Limits the time of a pattern. */
import { SluiceError } from "../../errors.ts";

/** Steps for a text of any length, and more of them per UTF-16 unit. A step takes a few nanoseconds. */
const BASE = 200_000;
const PER_UNIT = 150;
/** More for patterns with many alternatives, which try all of them at each character: about a second at most. */
const MOST_FOR_SIZE = 40_000_000;

/** What a step costs that looks outcomes up, in steps that do not. */
const REMEMBERING = 4;

/** The steps that remain for one text, however many pieces of it a pattern is tried on. */
export class Effort {
  left: number;

  /**
   * @param length of the whole text, in UTF-16 units
   * @param size of the pattern, as it reports
   */
  constructor(length: number, size = 0) {
    this.left = BASE + PER_UNIT * length + Math.min(size * length, MOST_FOR_SIZE);
  }

  /**
   * @param names what takes the steps, for the error
   * @param remembering the steps looked outcomes up
   * @throws SluiceError `bad_file` if more steps were taken than remained
   */
  spend(steps: number, what: () => string, remembering = false): void {
    this.left -= remembering ? REMEMBERING * steps : steps;
    if (this.left >= 0) return;
    throw new SluiceError("bad_file", `tokenizer.json: ${what()} takes too long on this text`, {
      hint: "The time grows faster than the text does: shorten the text, or change tokenizer.json.",
    });
  }
}
