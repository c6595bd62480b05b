/** What is asked of a generation as it is settled: how far a prompt reaches, also where it has lost its beginning. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GenerateOptions } from "../../src/model/options.ts";
import { settleRequest } from "../../src/model/request.ts";
import { refusal } from "../formats/refusal.ts";
import { gpt2 } from "../interventions/model-configs.ts";

const settle = (lengths: readonly number[], options: GenerateOptions) =>
  settleRequest(
    { config: gpt2, tokenizer: null, eosTokenIds: null, context: 8 },
    lengths.map((length, sequence) => ({ sequence, prompt: Array.from({ length }, (_, i) => i % 5) })),
    options,
  ).request;

test("tokens that truncation leaves keep their roles: a prompt length loses what the prompt has lost", () => {
  const cut = { maxNewTokens: 3, overflow: "truncate" } as const;
  const left = (lengths: readonly number[], promptLength?: number) => {
    const { prompts, promptLength: settled } = settle(lengths, { ...cut, ...(promptLength && { promptLength }) });
    return [prompts.map(({ tokens }) => tokens.length), settled];
  };
  assert.equal(left([6], 4), [[6], 4]);
  assert.equal(left([10], 7), [[6], 3]);
  assert.equal(left([10], 10), [[6], 6]);
  // All that was the prompt's is gone: what is left was to count as generated.
  assert.equal(left([10], 2), [[6], 0]);
  assert.equal(left([10]), [[6], undefined]);
  assert.equal(left([10, 10], 7), [[6, 6], 3]);
});

test("a prompt length is one of the tokens given, and one for all prompts", async () => {
  const cut = { maxNewTokens: 3, overflow: "truncate" } as const;
  await refusal("usage", () => settle([10], { ...cut, promptLength: 11 }), "is 11", "from 1 to 10");
  await refusal(
    "usage",
    () => settle([10, 4], { ...cut, promptLength: 4 }),
    "leaves the prompts 0, 4",
    "one prompt at a time",
  );
});

test("seeds are as many as prompts", async () => {
  await refusal(
    "usage",
    () => settle([2, 2], { seeds: [1] }),
    "seeds is of length 1, and the list of prompts of length 2",
  );
  assert.equal(
    settle([2, 2], { seeds: [1, 2] }).prompts.map(({ seed }) => seed),
    [1, 2],
  );
});

test.run();
