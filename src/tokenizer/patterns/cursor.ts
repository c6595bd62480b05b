/** Reads a pattern from left to right, and makes its errors. */
import { SluiceError } from "../../errors.ts";
import { show } from "../../show.ts";

export class Cursor {
  readonly source: string;
  at = 0;

  constructor(source: string) {
    this.source = source;
  }

  get done(): boolean {
    return this.at >= this.source.length;
  }

  /** The next UTF-16 unit as text; "" at the end. */
  get next(): string {
    return this.source.charAt(this.at);
  }

  /** Skips the text if it comes next. */
  eat(text: string): boolean {
    if (!this.source.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }

  /** Skips what the sticky expression matches here. */
  match(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.at;
    const match = expression.exec(this.source);
    if (match) this.at += match[0].length;
    return match;
  }

  /** Skips one character, which must exist. */
  take(): number {
    const code = this.source.codePointAt(this.at);
    if (code === undefined) this.fail("it ends too early");
    this.at += code > 0xffff ? 2 : 1;
    return code;
  }

  /** @param problem what is wrong, without a full stop */
  fail(problem: string): never {
    throw new SluiceError(
      "bad_file",
      `tokenizer.json: the pattern ${show(this.source)}: ${problem}, at character ${this.at}`,
      {
        hint: "Patterns are regular expressions in Oniguruma's syntax, without back-references and calls of groups.",
      },
    );
  }
}
