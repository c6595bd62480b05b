/** For tests of bad input: what was thrown, once it is known to be a SluiceError of the code expected. */
import * as assert from "uvu/assert";
import { type ErrorCode, SluiceError } from "../../src/errors.ts";

/** The message of the SluiceError that `attempt` throws or rejects with; all of `parts` must occur in it. */
export async function refusal(code: ErrorCode, attempt: () => unknown, ...parts: readonly string[]): Promise<string> {
  let thrown: unknown;
  try {
    await attempt();
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof SluiceError, `expected a SluiceError, got ${thrown}`);
  assert.is(thrown.code, code, thrown.message);
  for (const part of parts) assert.ok(thrown.message.includes(part), `"${part}" is not in: ${thrown.message}`);
  return thrown.message;
}
