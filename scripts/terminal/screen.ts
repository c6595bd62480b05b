/** A terminal's screen, as far as readline and our own progress lines use one: text, line ends and cursor movements. */

export class Screen {
  readonly #columns: number;
  readonly #lines: string[][] = [[]];
  #row = 0;
  #column = 0;

  constructor(columns: number) {
    this.#columns = columns;
  }

  /** All lines so far, without spaces at their ends. */
  get lines(): readonly string[] {
    return this.#lines.map((line) =>
      Array.from(line, (character) => character ?? " ")
        .join("")
        .trimEnd(),
    );
  }

  /** @throws Error for a control sequence that this screen does not know: then the picture would be wrong */
  write(text: string): void {
    const [plain = "", ...sequences] = text.split("\u001b[");
    this.#print(plain);
    for (const sequence of sequences) {
      const [whole, parameters = "", command = ""] = /^([?\d;]*)([A-Za-z])/.exec(sequence) ?? [""];
      this.#control(command, parameters);
      this.#print(sequence.slice(whole.length));
    }
  }

  #print(text: string): void {
    for (const character of text) {
      if (character === "\n") this.#newLine();
      else if (character === "\r") this.#column = 0;
      else this.#put(character);
    }
  }

  #put(character: string): void {
    if (this.#column === this.#columns) this.#newLine();
    (this.#lines[this.#row] as string[])[this.#column++] = character;
  }

  #newLine(): void {
    this.#row++;
    this.#column = 0;
    this.#lines[this.#row] ??= [];
  }

  #control(command: string, parameters: string): void {
    const count = Number(parameters || 1);
    const line = this.#lines[this.#row] as string[];
    switch (command) {
      case "G":
        this.#column = count - 1;
        return;
      case "A":
        this.#row = Math.max(0, this.#row - count);
        return;
      case "B":
        this.#row = Math.min(this.#lines.length - 1, this.#row + count);
        return;
      case "C":
        this.#column += count;
        return;
      case "D":
        this.#column = Math.max(0, this.#column - count);
        return;
      case "K":
        line.length = Math.min(line.length, this.#column);
        return;
      case "J":
        line.length = Math.min(line.length, this.#column);
        this.#lines.length = this.#row + 1;
        return;
      case "h":
      case "l":
        // Modes, such as bracketed paste, change nothing on the screen.
        return;
      default:
        throw new Error(`The screen does not know the control sequence ${JSON.stringify(parameters + command)}`);
    }
  }
}
