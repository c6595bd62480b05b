/** How far a result is from what was expected, by the contract's measure. */
import * as assert from "uvu/assert";

/** Asserts max|Δ| ≤ tolerance · max(1, max|expected|). */
export function assertClose(actual: Float32Array, expected: Float32Array, what: string, tolerance = 2e-4): void {
  assert.is(actual.length, expected.length, `${what}: ${actual.length} values, expected ${expected.length}`);
  let worst = 0;
  let scale = 1;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] as number) - (expected[i] as number));
    if (!(difference <= worst)) worst = difference;
    scale = Math.max(scale, Math.abs(expected[i] as number));
  }
  assert.ok(worst <= tolerance * scale, `${what}: off by ${worst}, at most ${tolerance * scale} is allowed`);
}
