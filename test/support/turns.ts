/**
 * Sweeps whose cases Node and Chromium share out when both run: either way Tint compiles the kernels and SwiftShader
 * runs them, and test/engine/same-bits.test.ts shows that they compute the same bits. An environment that runs alone,
 * such as Firefox or `npm test -- --node`, has every turn.
 */

/** An environment among those that run side by side. */
export interface Turn {
  readonly index: number;
  readonly of: number;
}

declare global {
  /** Set by what runs the tests, before it loads them. */
  var testTurn: Turn | undefined;
}

/**
 * The cases that are this environment's turn: 0, 3, 4, 7, … of two, and 1, 2, 5, 6, …, so that what alternates with the
 * index is in both.
 */
export function myTurns<T>(cases: readonly T[]): T[] {
  const { index, of } = globalThis.testTurn ?? { index: 0, of: 1 };
  return cases.filter((_, i) => (i + Math.floor(i / of)) % of === index);
}

/**
 * `test` for tests that Node and Chromium share out, in the order in which a file declares them. Of a file, what is most
 * likely to differ between the two stays with `test`.
 */
export function sharedOut(test: (name: string, run: () => Promise<void> | void) => void): typeof test {
  const { index, of } = globalThis.testTurn ?? { index: 0, of: 1 };
  let count = 0;
  return (name, run) => {
    if (count++ % of === index) test(name, run);
  };
}
