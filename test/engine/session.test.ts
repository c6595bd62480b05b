/** Sessions: the cache lasts from call to call, whatever happened in between; and what does not fit a context. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { GeneratedToken, Session } from "../../src/index.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";

/** Under the reference plan, reused and recomputed results are equal bit for bit, and so are the ids. */
const stories = () => load(location("weights/stories260K"), { plan: "reference" });

test("a growing text is not computed again, and continues as if it had been", async () => {
  const model = await stories();
  const session = await model.session({ context: 128 });
  const first = await session.generate("Once upon a time", { maxNewTokens: 12 }).result();
  assert.is(first.reused_tokens, 0);
  const text = [...first.prompt_tokens, ...first.tokens];
  assert.equal(session.tokens(), text.slice(0, session.tokens().length));
  assert.ok(session.tokens().length >= text.length - 1);

  const turn = [...text, 403, 407, 261];
  const second = await session.generate(turn, { maxNewTokens: 12 }).result();
  assert.ok(second.reused_tokens >= text.length - 1, `${second.reused_tokens} of ${turn.length} reused`);
  assert.equal(second.tokens, (await model.generate(turn, { maxNewTokens: 12 }).result()).tokens);

  // The same prompt again: all but its last token, whose logits are wanted.
  const again = await session.generate(turn, { maxNewTokens: 12 }).result();
  assert.is(again.reused_tokens, turn.length - 1);
  assert.equal(again.tokens, second.tokens);

  // A text that departs early, and the penalty, whose counts are not those of the text before.
  const other = [...text.slice(0, 5), 300, 301];
  const options = { maxNewTokens: 12, repetitionPenalty: 1.3, temperature: 0.8, seed: 3 };
  const departed = await session.generate(other, options).result();
  assert.is(departed.reused_tokens, 5);
  assert.equal(departed.tokens, (await model.generate(other, options).result()).tokens);
  assert.is((await model.generate(other, options).result()).reused_tokens, 0);
  session.dispose();
  model.dispose();
});

test("sequences continue side by side, and share prefixes", async () => {
  const model = await stories();
  const session = await model.session({ context: 64, sequences: 3 });
  const prompts = [
    [1, 403, 407, 261, 378],
    [1, 403, 410],
  ];
  const told: number[][] = prompts.map(() => []);
  const onToken = ({ sequence, token }: GeneratedToken) => told[sequence]?.push(token);
  const batch = await session.generateBatch(prompts, { maxNewTokens: 6, onToken });
  assert.equal(
    told,
    batch.map(({ tokens }) => tokens),
  );
  const longer = prompts.map((prompt, i) => [...prompt, ...(batch[i]?.tokens ?? []), 265]);
  const next = await session.generateBatch(longer, { maxNewTokens: 6 });
  for (const [i, prompt] of longer.entries()) {
    assert.ok((next[i]?.reused_tokens ?? 0) >= prompt.length - 2);
    assert.equal(next[i]?.tokens, (await model.generate(prompt, { maxNewTokens: 6 }).result()).tokens);
  }
  const forked = [...(longer[0] as number[]).slice(0, 9), 270];
  const third = session.generate(forked, { maxNewTokens: 6, sequence: 2 });
  for await (const { sequence } of third) assert.is(sequence, 2);
  const { reused_tokens, tokens } = await third.result();
  assert.is(reused_tokens, 9);
  assert.equal(tokens, (await model.generate(forked, { maxNewTokens: 6 }).result()).tokens);
  // The lender has kept its own.
  const lender = await session.generate(longer[0] as number[], { maxNewTokens: 6, sequence: 0 }).result();
  assert.is(lender.reused_tokens, (longer[0] as number[]).length - 1);
  assert.equal(lender.tokens, next[0]?.tokens);
  assert.is(await codeOf(() => session.generate([1], { sequence: 3 }).result()), "usage");
  assert.is(await codeOf(() => session.generateBatch([[1], [1], [1], [1]])), "usage");
  session.dispose();
  model.dispose();
});

test("a session stays true after breaks, aborts and refusals, wherever they fall", async () => {
  const model = await stories();
  const session = await model.session({ context: 96 });
  const prompt = [1, 403, 407, 261, 378];
  const whole = await model.generate(prompt, { maxNewTokens: 40 }).result();
  const text = [...prompt, ...whole.tokens];
  /** What the session holds is a beginning of the text, and goes on as the text does. */
  const check = async (at: number) => {
    assert.equal(session.tokens(), text.slice(0, session.tokens().length));
    const result = await session.generate(text.slice(0, at), { maxNewTokens: 4 }).result();
    assert.equal(result.tokens, text.slice(at, at + 4), `after ${at} tokens`);
  };
  for (const after of [1, 2, 7, 18, 19]) {
    let count = 0;
    for await (const _ of session.generate(prompt, { maxNewTokens: 40 })) if (++count === after) break;
    await check(prompt.length + after);

    const controller = new AbortController();
    count = 0;
    const aborted = await codeOf(async () => {
      for await (const _ of session.generate(prompt, { maxNewTokens: 60, signal: controller.signal })) {
        if (++count === after) controller.abort();
      }
    });
    assert.is(aborted, "aborted");
    await check(prompt.length + after + 3);
  }
  assert.is(await codeOf(() => session.generate(prompt, { signal: AbortSignal.abort() }).result()), "aborted");
  await check(prompt.length);
  const held = session.tokens();
  assert.is(await codeOf(() => session.generate([1, 512], { maxNewTokens: 1 }).result()), "bad_tokens");
  assert.is(await codeOf(() => session.generate(Array(97).fill(1)).result()), "context_overflow");
  assert.equal(session.tokens(), held);
  session.dispose();
  model.dispose();
});

test("one call at a time, and none after the end", async () => {
  const model = await stories();
  const session = await model.session({ context: 64 });
  const running = session.generate("Once", { maxNewTokens: 20 });
  const iterator = running[Symbol.asyncIterator]();
  await iterator.next();
  assert.is(await codeOf(() => session.generate("Once", { maxNewTokens: 2 }).result()), "busy");
  await iterator.return?.();
  assert.is((await session.generate("Once", { maxNewTokens: 2 }).result()).tokens.length, 2);

  const [one, two] = await Promise.allSettled(
    [0, 1].map(() => session.generate("The dog", { maxNewTokens: 2 }).result()),
  );
  assert.equal([one?.status, two?.status].sort(), ["fulfilled", "rejected"]);

  const bytes = model.gpuBytes;
  const cut = await codeOf(async () => {
    for await (const _ of session.generate("Once", { maxNewTokens: 20 })) session.dispose();
  });
  assert.is(cut, "usage");
  assert.ok(model.gpuBytes < bytes, "its buffers were freed");
  assert.is(await codeOf(() => session.generate("Once").result()), "usage");
  session.dispose();
  model.dispose();
});

test("prompt and new tokens fill the context to its last place, and overflow it as the caller says", async () => {
  const model = await load(location("weights/gpt-nano-sort"));
  const session = await model.session();
  assert.is(session.context, 11);
  const prompt = [2, 0, 1, 1, 0, 2];
  const sorted = [0, 0, 1, 1, 2, 2];
  const faces: readonly Pick<Session, "generate">[] = [model, session];
  for (const face of faces) {
    const run = (tokens: readonly number[], options: Parameters<Session["generate"]>[1]) =>
      face.generate(tokens, options).result();
    // P + N − 1 places: six in and six out fill eleven, for every answer to overflow.
    for (const overflow of ["stop", "error", "truncate"] as const) {
      const { tokens, finish, prompt_tokens } = await run(prompt, { maxNewTokens: 6, overflow });
      assert.equal(tokens, sorted);
      assert.is(finish, "length");
      assert.equal(prompt_tokens, prompt);
    }
    const stopped = await run(prompt, { maxNewTokens: 7 });
    assert.equal([stopped.tokens, stopped.finish], [sorted, "context"]);
    assert.is((await run(prompt, {})).finish, "context");
    assert.is(await codeOf(() => run(prompt, { maxNewTokens: 7, overflow: "error" })), "context_overflow");

    const cut = await run([1, 1, ...prompt], { maxNewTokens: 6, overflow: "truncate" });
    assert.equal([cut.prompt_tokens, cut.tokens], [prompt, sorted]);
    assert.equal((await run(Array(30).fill(1), { overflow: "truncate" })).prompt_tokens, [1, 1, 1, 1, 1, 1]);
    const greedy = await run(prompt, { maxNewTokens: 50, overflow: "truncate" });
    assert.equal([greedy.prompt_tokens, greedy.tokens.length, greedy.finish], [[2], 11, "context"]);

    const full = Array(11).fill(1);
    assert.equal((await run(full, { maxNewTokens: 1, overflow: "error" })).finish, "length");
    assert.equal((await run(full, { maxNewTokens: 2 })).tokens.length, 1);
    for (const overflow of ["stop", "error"] as const) {
      assert.is(await codeOf(() => run(Array(12).fill(1), { maxNewTokens: 1, overflow })), "context_overflow");
    }
    assert.is(await codeOf(() => run(prompt, { overflow: "wrap" as "stop" })), "usage");
  }
  assert.is(await codeOf(() => model.session({ context: 12 })), "context_overflow");
  session.dispose();
  model.dispose();
});

test.run();
