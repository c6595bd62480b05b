/** Standard input and the lines that a user types, as narrow interfaces that tests replace. */

/** Standard input, or its stand-in. */
export interface InputStream extends AsyncIterable<Uint8Array | string> {
  readonly isTTY?: boolean;
  /** Discards what has not been read, so that the process does not wait for it. */
  destroy?(): unknown;
}

/**
 * How the wait for the next line ends: with a line, without its line end; with Ctrl-C, which may discard typed text; or
 * with the end of the input.
 */
export type LineEvent =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "interrupt"; readonly gaveUp: boolean }
  | { readonly kind: "end" };

export interface LineSource {
  /**
   * Waits for the next line.
   * @param prompt shown on a terminal only
   */
  next(prompt: string): Promise<LineEvent>;
  /** Releases the input. */
  close(): void;
}

/** Completions for the text before the cursor, and the part that they replace. */
export type Completer = (line: string) => [candidates: string[], replaced: string];
