/** Time that the tuner may spend. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { throwIfAborted } from "../../src/errors.ts";
import { Budget } from "../../src/tune/budget.ts";
import { codeOf } from "../support/refusal-code.ts";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("a budget of any length allows what is done in time", async () => {
  for (const ms of [60_000, 2 ** 31, 1e15, Number.POSITIVE_INFINITY]) {
    const budget = new Budget(ms, undefined);
    assert.ok(budget.mayGoOn(), `${ms}`);
    assert.is(await budget.allows(() => pause(20)), true, `${ms}`);
  }
});

test("late work is aborted, and its failure is ignored", async () => {
  const budget = new Budget(20, undefined);
  let steps = 0;
  let ended: Promise<void> | undefined;
  const work = async (signal: AbortSignal): Promise<void> => {
    for (; ; steps++) {
      throwIfAborted(signal);
      await pause(5);
    }
  };
  const inTime = await budget.allows((signal) => {
    ended = work(signal);
    return ended;
  });
  assert.is(inTime, false);
  assert.is(await codeOf(() => ended as Promise<void>), "aborted");
  assert.ok(steps > 0);
  assert.not(budget.mayGoOn());
});

test("the caller's abort reaches the work, and its failure the caller", async () => {
  const controller = new AbortController();
  const budget = new Budget(Number.POSITIVE_INFINITY, controller.signal);
  setTimeout(() => controller.abort(), 5);
  const waiting = (signal: AbortSignal) =>
    new Promise<void>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const failed = await budget.allows(waiting).catch((error: unknown) => error);
  assert.is(failed, controller.signal.reason);
  assert.is(await codeOf(async () => budget.mayGoOn()), "aborted");
  assert.is(await codeOf(() => budget.allows(() => pause(1))), "aborted");
});

test.run();
