/** Standard input and the lines that a person types, as narrow interfaces, so that tests can play their parts. */

/** Standard input, or what plays its part. */
export interface InputStream extends AsyncIterable<Uint8Array | string> {
  readonly isTTY?: boolean;
  /** Gives up what has not been read, so that the process need not wait for it. */
  destroy?(): unknown;
}

/**
 * What waiting for the next line ends with: a line without its end; Ctrl-C, which may have given up something typed; or
 * the end of the input.
 */
export type LineEvent =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "interrupt"; readonly gaveUp: boolean }
  | { readonly kind: "end" };

export interface LineSource {
  /**
   * Waits for the next line.
   * @param prompt shown to a person who types; a pipe shows nothing
   */
  next(prompt: string): Promise<LineEvent>;
  /** Gives the input back. */
  close(): void;
}

/** Candidates for the text before the cursor, and the part of it that they replace. */
export type Completer = (line: string) => [candidates: string[], replaced: string];
