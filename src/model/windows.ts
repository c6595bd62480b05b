/** Cuts texts longer than a model's context into windows that together predict every token once. */

/** Tokens that are run together, and the number of last predictions that count. */
export interface Window {
  readonly tokens: readonly number[];
  readonly counted: number;
}

/**
 * Windows of at most `context` tokens that together predict every token of a text but its first once, each token with at
 * least context − stride tokens before it if the text has that many.
 * @param stride from 1 to context − 1, if the context has more than one position
 */
export function windowsOf(tokens: readonly number[], context: number, stride: number): readonly Window[] {
  const windows: Window[] = [];
  let predicted = 1;
  while (predicted < tokens.length) {
    const end = Math.min(windows.length === 0 ? context : predicted + stride, tokens.length);
    windows.push({ tokens: tokens.slice(Math.max(0, end - context), end), counted: end - predicted });
    predicted = end;
  }
  return windows;
}

/** Neighbouring windows that fill a step without exceeding its rows: at most `most`, at least one. */
export function* groupsOf(windows: readonly Window[], most: number, rows: number): Generator<readonly Window[]> {
  let group: Window[] = [];
  let filled = 0;
  for (const window of windows) {
    if (group.length > 0 && (group.length === most || filled + window.tokens.length > rows)) {
      yield group;
      group = [];
      filled = 0;
    }
    group.push(window);
    filled += window.tokens.length;
  }
  if (group.length > 0) yield group;
}
