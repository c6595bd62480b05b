/** Biases, OpenAI's penalties, log probabilities and response formats of generation, worked out by hand from logits. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";

const stories = () => load(location("weights/stories260K"), { plan: "reference" });

test("biases and penalties choose what the adjusted logits say", async () => {
  const model = await stories();
  const [first] = model.encode("a");
  const options = { maxNewTokens: 14, presencePenalty: 0.5, frequencyPenalty: 1.25, logitBias: { [first ?? 0]: 3 } };
  const tokens = [...model.encode("Once upon a time")];
  const { tokens: actual } = await model.generate(tokens, options).result();
  const counts = new Map<number, number>();
  for (const token of actual) {
    const { data } = await model.logits(tokens, { last: true });
    data[first ?? 0] = (data[first ?? 0] as number) + 3;
    for (const [id, count] of counts) data[id] = (data[id] as number) - 1.25 * count - 0.5;
    assert.is(token, data.indexOf(Math.max(...data)));
    tokens.push(token);
    counts.set(token, (counts.get(token) ?? 0) + 1);
  }
  model.dispose();
});

test("samples of a batch count their own tokens", async () => {
  const model = await stories();
  const options = { maxNewTokens: 20, temperature: 1, frequencyPenalty: 1.5, seed: 3 } as const;
  const both = await model.generate("Once upon", { ...options, samples: 2 }).results();
  for (const [i, { tokens }] of both.entries()) {
    const alone = await model.generate("Once upon", { ...options, seed: 3 + i }).result();
    assert.equal(tokens, alone.tokens);
  }
  model.dispose();
});

test("log probabilities are the model's own, whatever is drawn", async () => {
  const model = await stories();
  const tokens = [...model.encode("The dog")];
  const generation = model.generate(tokens, {
    maxNewTokens: 8,
    temperature: 1.5,
    seed: 4,
    presencePenalty: 1,
    topLogprobs: 3,
  });
  const streamed: unknown[] = [];
  for await (const { logprobs } of generation) streamed.push(logprobs);
  const result = await generation.result();
  assert.equal(streamed, result.logprobs);
  for (const { token, text, logprob, top } of result.logprobs ?? []) {
    const { data } = await model.logits(tokens, { last: true });
    const most = Math.max(...data);
    const sum = data.reduce((total, l) => total + Math.exp(l - most), 0);
    const expected = (id: number): number => (data[id] as number) - most - Math.log(sum);
    assert.ok(Math.abs(logprob - expected(token)) < 1e-4);
    assert.is(text, model.tokenizer?.decode([1, 403, token]).slice(model.tokenizer.decode([1, 403]).length));
    const order = Array.from(data.keys()).sort((a, b) => (data[b] as number) - (data[a] as number));
    assert.equal(
      top.map((each) => each.token),
      order.slice(0, 3),
    );
    for (const each of top) assert.ok(Math.abs(each.logprob - expected(each.token)) < 1e-4);
    tokens.push(token);
  }
  assert.is((await model.generate(tokens, { maxNewTokens: 1 }).result()).logprobs, undefined);
  model.dispose();
});

test("a text of a schema parses, each sample on its own", async () => {
  const model = await stories();
  const schema = {
    type: "object",
    properties: { name: { type: "string", maxLength: 10 }, age: { type: "integer", minimum: 0, maximum: 99 } },
    required: ["name", "age"],
    additionalProperties: false,
  };
  const results = await model
    .generate("Tell me", {
      maxNewTokens: 120,
      temperature: 1,
      seed: 1,
      samples: 3,
      responseFormat: { type: "json_schema", json_schema: { schema } },
    })
    .results();
  for (const { text, finish } of results) {
    assert.is(finish, "stop");
    const { name, age } = JSON.parse(text ?? "") as { name: string; age: number };
    assert.ok([...name].length <= 10 && age >= 0 && age <= 99, text ?? "");
  }
  assert.ok(new Set(results.map(({ text }) => text)).size > 1);
  model.dispose();
});

test("a running batch mixes them, each as it is alone", async () => {
  const model = await stories();
  const batch = await model.batch({ sequences: 3, context: 160 });
  const all = [
    { maxNewTokens: 12 },
    { maxNewTokens: 14, temperature: 1, seed: 5, frequencyPenalty: 1.5 },
    { maxNewTokens: 60, temperature: 1, seed: 6, responseFormat: { type: "json_object" as const } },
    { maxNewTokens: 10, topLogprobs: 2 },
    { maxNewTokens: 10, logitBias: { 403: 5 } },
  ];
  const alone = [];
  for (const options of all) alone.push(await model.generate("Once upon", options).result());
  const together = await Promise.all(all.map((options) => batch.generate("Once upon", options).result()));
  for (const [i, { tokens, text, finish, logprobs }] of together.entries()) {
    const expected = alone[i] as (typeof together)[number];
    assert.equal(
      { tokens, text, finish, logprobs },
      { tokens: expected.tokens, text: expected.text, finish: expected.finish, logprobs: expected.logprobs },
    );
  }
  batch.dispose();
  model.dispose();
});

test("what cannot be done is refused", async () => {
  const model = await stories();
  const refused = (options: object) => codeOf(() => model.generate("The", options as never).result());
  assert.is(await refused({ logitBias: { 512: 1 } }), "bad_tokens");
  assert.is(await refused({ logitBias: { x: 1 } }), "usage");
  assert.is(await refused({ logitBias: { 5: 101 } }), "usage");
  assert.is(await refused({ frequencyPenalty: 2.1 }), "usage");
  assert.is(await refused({ topLogprobs: 21 }), "usage");
  assert.is(await refused({ responseFormat: { type: "yaml" } }), "usage");
  assert.is(await refused({ responseFormat: { type: "json_schema", json_schema: {} } }), "usage");
  assert.is(await refused({ responseFormat: { type: "json_schema", json_schema: { schema: { not: {} } } } }), "usage");
  model.dispose();
});

test.run();
