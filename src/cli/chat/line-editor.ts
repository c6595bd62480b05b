/**
 * A line editor on a terminal, by Node's readline: cursor keys, history, completion. Between two lines the terminal is
 * in its ordinary mode, so that Ctrl-C raises a signal. A pasted text of several lines stays one message (bracketed
 * paste: the terminal marks where a paste begins and ends).
 */

import { createInterface, type Interface } from "node:readline";
import type { Completer, LineEvent, LineSource } from "../streams.ts";

/** A terminal's input. */
export interface EditorInput extends NodeJS.ReadableStream {
  setRawMode?(raw: boolean): unknown;
}

const HISTORY_LINES = 1000;
const MARK_PASTES = "\u001b[?2004h";
const LEAVE_PASTES = "\u001b[?2004l";

export class LineEditor implements LineSource {
  readonly #input: EditorInput;
  readonly #output: NodeJS.WritableStream;
  readonly #readline: Interface;
  readonly #queue: LineEvent[] = [];
  #waiting: ((event: LineEvent) => void) | undefined;
  #isClosed = false;
  #isPasting = false;
  #pasted: string[] = [];

  constructor(input: EditorInput, output: NodeJS.WritableStream, completer: Completer) {
    this.#input = input;
    this.#output = output;
    this.#readline = createInterface({
      input,
      output,
      completer,
      terminal: true,
      historySize: HISTORY_LINES,
      removeHistoryDuplicates: true,
    });
    this.#readline.on("line", (line) => this.#take(line));
    this.#readline.on("SIGINT", () => this.#interrupt());
    this.#readline.on("close", () => {
      this.#isClosed = true;
      this.#tell({ kind: "end" });
    });
    input.on("keypress", this.#onKey);
    this.#rest();
  }

  next(prompt: string): Promise<LineEvent> {
    const queued = this.#queue.shift();
    if (queued) return Promise.resolve(queued);
    if (this.#isClosed) return Promise.resolve({ kind: "end" });
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.#input.setRawMode?.(true);
      this.#output.write(MARK_PASTES);
      this.#readline.setPrompt(prompt);
      this.#readline.prompt();
    });
  }

  close(): void {
    this.#input.off("keypress", this.#onKey);
    this.#readline.close();
    this.#output.write(LEAVE_PASTES);
  }

  readonly #onKey = (_text: unknown, key: { readonly name?: string } | undefined): void => {
    if (key?.name === "paste-start") this.#isPasting = true;
    if (key?.name === "paste-end") this.#isPasting = false;
  };

  #take(line: string): void {
    this.#pasted.push(line);
    if (this.#isPasting) return;
    const text = this.#pasted.join("\n");
    this.#pasted = [];
    this.#tell({ kind: "line", text });
  }

  /** Ctrl-C while a line is edited discards the typed text. */
  #interrupt(): void {
    const gaveUp = this.#pasted.length > 0 || this.#readline.line !== "";
    this.#pasted = [];
    this.#isPasting = false;
    this.#readline.write(null, { ctrl: true, name: "e" });
    this.#readline.write(null, { ctrl: true, name: "u" });
    this.#output.write("\n");
    this.#tell({ kind: "interrupt", gaveUp });
  }

  #tell(event: LineEvent): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) {
      if (!this.#isClosed) this.#rest();
      waiting(event);
    } else {
      this.#queue.push(event);
    }
  }

  /** Returns the terminal to its ordinary mode until the next line. */
  #rest(): void {
    this.#readline.pause();
    this.#input.setRawMode?.(false);
    this.#output.write(LEAVE_PASTES);
  }
}
