/** `result()` of a generation answers however the generation ended. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { SluiceError } from "../../src/index.ts";
import { testDevice } from "../support/device.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";

const PROMPT = [65, 7, 28, 64, 1, 66, 100, 2];

test("the result is the same at once, during and after iterating", async () => {
  const model = await load(location("test/golden/gpt2-tiny"), { device: await testDevice() });
  const options = { maxNewTokens: 6, stopTokens: [] };
  const { tokens } = await model.generate(PROMPT, options).result();
  const generation = model.generate(PROMPT, options);
  let early: Promise<{ readonly tokens: readonly number[] }> | undefined;
  const seen: number[] = [];
  for await (const { token } of generation) {
    early ??= generation.result();
    seen.push(token);
  }
  assert.equal(seen, tokens);
  assert.equal((await early)?.tokens, tokens);
  assert.equal((await generation.result()).tokens, tokens);
  model.dispose();
});

test("a stopped, aborted or failed generation reports that at every request", async () => {
  const model = await load(location("test/golden/gpt2-tiny"), { device: await testDevice() });
  const left = model.generate(PROMPT, { maxNewTokens: 20, stopTokens: [] });
  let early: Promise<string> | undefined;
  for await (const _ of left) {
    early = codeOf(() => left.result());
    break;
  }
  assert.is(await early, "usage");
  assert.is(await codeOf(() => left.result()), "usage");

  const abort = new AbortController();
  const aborted = model.generate(PROMPT, { maxNewTokens: 20, stopTokens: [], signal: abort.signal });
  const iteration = codeOf(async () => {
    for await (const _ of aborted) abort.abort();
  });
  assert.is(await iteration, "aborted");
  assert.is(await codeOf(() => aborted.result()), "aborted");

  const failed = model.generate([9999], { maxNewTokens: 2 });
  const code = await codeOf(() => failed.result());
  assert.is(code, "bad_tokens");
  const again = await failed.result().catch((error: SluiceError) => error.code);
  assert.is(again, code);
  model.dispose();
});

test.run();
