/** Options of generation against what can be worked out by hand from logits and texts; aborts wherever they fall. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { load as loadAlone } from "../../src/index.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";

const stories = () => load(location("weights/stories260K"), { plan: "reference" });

test("the repetition penalty weighs what prompt and answer hold already", async () => {
  const model = await stories();
  const penalty = 1.4;
  const tokens = [...model.encode("Lily likes Lily")];
  const { tokens: actual } = await model.generate(tokens, { maxNewTokens: 10, repetitionPenalty: penalty }).result();
  for (const token of actual) {
    const { data } = await model.logits(tokens, { last: true });
    for (const seen of new Set(tokens)) {
      const logit = data[seen] as number;
      data[seen] = logit > 0 ? logit / penalty : logit * penalty;
    }
    assert.is(token, data.indexOf(Math.max(...data)));
    tokens.push(token);
  }
  model.dispose();
});

test("a choice narrowed to one token is the most likely one, however it was narrowed", async () => {
  const model = await stories();
  const greedy = await model.generate("The dog", { maxNewTokens: 12 }).result();
  for (const narrow of [{ topK: 1 }, { topP: 1e-6 }, { minP: 1 }]) {
    const result = await model.generate("The dog", { maxNewTokens: 12, temperature: 3, seed: 5, ...narrow }).result();
    assert.equal(result.tokens, greedy.tokens, JSON.stringify(narrow));
  }
  model.dispose();
});

test("a stop text is cut wherever it falls between tokens, in the stream too", async () => {
  const model = await stories();
  const whole = (await model.generate("Once upon a time", { maxNewTokens: 32 }).result()).text ?? "";
  for (let at = 0; at + 5 < whole.length; at += 7) {
    const stop = whole.slice(at, at + 2 + (at % 4));
    let streamed = "";
    const generation = model.generate("Once upon a time", { maxNewTokens: 32, stop: ["never", stop] });
    for await (const { text } of generation) streamed += text;
    const { text, finish } = await generation.result();
    assert.is(text, whole.slice(0, whole.indexOf(stop)), JSON.stringify(stop));
    assert.is(streamed, text);
    assert.is(finish, "stop");
  }
  model.dispose();
});

test("a stream emits whole characters", async () => {
  const model = await stories();
  let streamed = "";
  // Most bytes this hot are not UTF-8; bytes that cannot be a character become U+FFFD, and never in halves.
  const generation = model.generate("Zoë – 你", { maxNewTokens: 60, temperature: 50, seed: 2 });
  for await (const { text } of generation) {
    assert.ok(!/[\uD800-\uDBFF]$/.test(text ?? ""), "no half of a pair");
    streamed += text;
  }
  assert.is(streamed, (await generation.result()).text);
  model.dispose();
});

test("an abort ends the running call, and the model stays usable", async () => {
  assert.is(await codeOf(() => loadAlone(location("weights/stories260K"), { signal: AbortSignal.abort() })), "aborted");
  const controller = new AbortController();
  const loading = loadAlone(location("weights/stories260K"), {
    signal: controller.signal,
    onProgress: ({ phase }) => phase === "upload" && controller.abort(),
  });
  assert.is(await codeOf(() => loading), "aborted");

  // On a device of its own, so that there is something to compile when the abort comes.
  const model = await loadAlone(location("weights/stories260K"), { plan: "reference" });
  const tokens = Array.from({ length: 400 }, (_, i) => 3 + (i % 500));
  const before = await model.logits([1, 2, 3]);
  const bytes = model.gpuBytes;
  const work = [
    (signal: AbortSignal) => model.logits(tokens, { signal }),
    (signal: AbortSignal) => model.capture(tokens, ["resid_post.1"], { signal }),
    (signal: AbortSignal) => model.perplexity([tokens], { signal }),
    (signal: AbortSignal) => model.generate(tokens, { maxNewTokens: 100, signal }).result(),
    (signal: AbortSignal) => model.generateBatch([tokens, [1]], { maxNewTokens: 100, signal }),
    (signal: AbortSignal) => model.session({ signal }).then((session) => session.dispose()),
  ];
  for (const run of work) {
    assert.is(await codeOf(() => run(AbortSignal.abort())), "aborted");
    assert.is(model.gpuBytes, bytes, "nothing is left behind");
  }
  for (const run of work.slice(0, -1)) {
    assert.is(await codeOf(() => run(AbortSignal.timeout(30))), "aborted");
    assert.is(model.gpuBytes, bytes, "nothing is left behind");
  }
  assert.equal((await model.logits([1, 2, 3])).data, before.data);
  model.dispose();
});

test.run();
