/** The server as OpenAI's own client sees it. */
import OpenAI from "openai";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type OpenServer, openServer } from "./node-open-server.ts";

let open: OpenServer;
test.before(async () => {
  open = await openServer();
});
test.after(() => open.close());

const messages = [{ role: "user" as const, content: "Once upon a time" }];

/** The status and the fields of the error of a call that is refused. */
async function refusal(
  call: Promise<unknown>,
): Promise<{ status: number; param: unknown; code: unknown; message: string }> {
  try {
    await call;
  } catch (error) {
    assert.instance(error, OpenAI.APIError);
    const { status, param, code, message } = error as InstanceType<typeof OpenAI.APIError>;
    return { status: status as number, param, code, message };
  }
  throw new Error("The call was not refused");
}

test("models are listed and found", async () => {
  const { client } = open;
  const listed = await client.models.list();
  assert.equal(
    listed.data.map(({ id, object }) => ({ id, object })),
    [{ id: "stories260K", object: "model" }],
  );
  assert.is((await client.models.retrieve("stories260K")).id, "stories260K");
  assert.is((await refusal(client.models.retrieve("other"))).status, 404);
});

test("a completion is what the library generates, streamed or not", async () => {
  const { client, model } = open;
  const asked = { model: "stories260K", prompt: "Once upon a time", max_tokens: 20, temperature: 0.8, seed: 7 };
  const expected = await model.generate(asked.prompt, { maxNewTokens: 20, temperature: 0.8, seed: 7 }).result();
  const answer = await client.completions.create(asked);
  assert.is(answer.object, "text_completion");
  assert.is(answer.choices[0]?.text, expected.text);
  assert.is(answer.choices[0]?.finish_reason, "length");
  assert.equal(
    [answer.usage?.prompt_tokens, answer.usage?.completion_tokens, answer.usage?.total_tokens],
    [expected.prompt_tokens.length, 20, expected.prompt_tokens.length + 20],
  );
  let text = "";
  const finishes: unknown[] = [];
  let usage: unknown;
  for await (const chunk of await client.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  })) {
    text += chunk.choices[0]?.text ?? "";
    if (chunk.choices[0]?.finish_reason) finishes.push(chunk.choices[0].finish_reason);
    usage = chunk.usage ?? usage;
  }
  assert.is(text, expected.text);
  assert.equal(finishes, ["length"]);
  assert.is((usage as { completion_tokens: number }).completion_tokens, 20);
});

test("several prompts, choices, echo, stop and ids", async () => {
  const { client, model } = open;
  const prompts = ["Once upon a time", "The dog"];
  const asked = { model: "stories260K", prompt: prompts, n: 2, max_tokens: 8, seed: 3, temperature: 1, echo: true };
  const answer = await client.completions.create(asked);
  assert.equal(
    answer.choices.map(({ index }) => index),
    [0, 1, 2, 3],
  );
  for (const [i, { text }] of answer.choices.entries()) {
    const prompt = prompts[Math.floor(i / 2)] as string;
    const alone = await model.generate(prompt, { maxNewTokens: 8, seed: 3 + i, temperature: 1 }).result();
    assert.is(text, prompt + (alone.text ?? ""));
  }
  const ids = await client.completions.create({
    model: "stories260K",
    prompt: [...model.encode("The dog")],
    max_tokens: 4,
    temperature: 0,
  });
  assert.is(ids.choices[0]?.text, (await model.generate("The dog", { maxNewTokens: 4 }).result()).text);
  const stopped = await client.completions.create({
    model: "stories260K",
    prompt: "Once upon a time",
    stop: ["girl"],
    max_tokens: 40,
    temperature: 0,
  });
  assert.is(stopped.choices[0]?.finish_reason, "stop");
  assert.not(stopped.choices[0]?.text.includes("girl"));
});

test("log probabilities in both shapes", async () => {
  const { client, model } = open;
  const expected = await model.generate("Once upon a time", { maxNewTokens: 5, topLogprobs: 3 }).result();
  const { choices } = await client.completions.create({
    model: "stories260K",
    prompt: "Once upon a time",
    max_tokens: 5,
    temperature: 0,
    logprobs: 3,
  });
  const scores = choices[0]?.logprobs;
  assert.equal(
    scores?.token_logprobs,
    expected.logprobs?.map(({ logprob }) => logprob),
  );
  assert.equal(scores?.tokens?.join(""), expected.text);
  assert.equal(scores?.text_offset?.slice(0, 2), [0, (scores?.tokens?.[0] ?? "").length]);
  assert.is(Object.keys(scores?.top_logprobs?.[0] ?? {}).length, 3);

  const asked = {
    model: "stories260K",
    messages,
    max_completion_tokens: 6,
    temperature: 0,
    logprobs: true,
    top_logprobs: 2,
  };
  const chat = await client.chat.completions.create(asked);
  const content = chat.choices[0]?.logprobs?.content ?? [];
  assert.is(content.map(({ token }) => token).join(""), chat.choices[0]?.message.content);
  assert.equal(
    content.map(({ top_logprobs }) => top_logprobs.length),
    content.map(() => 2),
  );
  assert.equal(content[0]?.bytes, [...new TextEncoder().encode(content[0]?.token)]);
  const streamed: unknown[] = [];
  for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
    streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
  }
  assert.equal(streamed, content);
});

test("a prompt that is given back has the log probabilities that its tokens have as new ones, streamed or not", async () => {
  const { client, model } = open;
  const { tokens, logprobs: own = [] } = await model
    .generate("Once upon a time", { maxNewTokens: 6, topLogprobs: 2 })
    .result();
  const start = [...model.encode("Once upon a time")];
  const asked = { model: "stories260K", prompt: [...start, ...tokens], echo: true, temperature: 0, logprobs: 2 };
  // Only the prompt is asked about, as evaluation harnesses do.
  const scored = await client.completions.create({ ...asked, max_tokens: 0 });
  const [choice] = scored.choices;
  const { token_logprobs = [], top_logprobs = [], tokens: names = [], text_offset = [] } = choice?.logprobs ?? {};
  assert.is(choice?.finish_reason, "length");
  assert.equal([scored.usage?.completion_tokens, scored.usage?.prompt_tokens], [0, start.length + 6]);
  assert.equal([token_logprobs.length, token_logprobs[0], top_logprobs[0]], [start.length + 6, null, null]);
  for (const [i, { logprob, top, text }] of own.entries()) {
    assert.ok(Math.abs((token_logprobs[start.length + i] as number) - logprob) < 1e-4, `${i}`);
    assert.equal(
      Object.keys(top_logprobs[start.length + i] ?? {}),
      top.map((each) => each.text),
    );
    assert.is(names[start.length + i], text);
    // The place of a token is where its text stands.
    assert.is(choice?.text.slice(text_offset[start.length + i]).startsWith(text ?? ""), true);
  }

  // With new tokens after it, and none of the others listed.
  const more = { ...asked, max_tokens: 5, logprobs: 0 };
  const whole = (await client.completions.create(more)).choices[0];
  const alone = (await client.completions.create({ ...more, echo: false })).choices[0];
  assert.is(whole?.text, `${choice?.text}${alone?.text}`);
  assert.equal(whole?.logprobs?.token_logprobs, [...token_logprobs, ...(alone?.logprobs?.token_logprobs ?? [])]);
  assert.is(whole?.logprobs?.top_logprobs, null);
  const streamed = { text: "", offsets: [] as number[], scores: [] as (number | null)[] };
  for await (const { choices } of await client.completions.create({ ...more, stream: true })) {
    streamed.text += choices[0]?.text ?? "";
    streamed.offsets.push(...(choices[0]?.logprobs?.text_offset ?? []));
    streamed.scores.push(...(choices[0]?.logprobs?.token_logprobs ?? []));
  }
  assert.equal(streamed, {
    text: whole?.text ?? "",
    offsets: whole?.logprobs?.text_offset ?? [],
    scores: whole?.logprobs?.token_logprobs ?? [],
  });
});

test("the best of several choices is the likeliest", async () => {
  const { client, model } = open;
  const asked = { model: "stories260K", prompt: "The dog", max_tokens: 8, temperature: 1, seed: 40 };
  const all = await Promise.all(
    [40, 41, 42, 43].map((seed) =>
      model.generate("The dog", { maxNewTokens: 8, temperature: 1, seed, logprobs: true }).result(),
    ),
  );
  const mean = ({ logprobs = [] }: (typeof all)[number]): number =>
    logprobs.reduce((sum, { logprob }) => sum + logprob, 0) / logprobs.length;
  const expected = [...all].sort((a, b) => mean(b) - mean(a)).slice(0, 2);
  const { choices, usage } = await client.completions.create({ ...asked, n: 2, best_of: 4 });
  assert.equal(
    choices.map(({ text, logprobs }) => [text, logprobs]),
    expected.map(({ text }) => [text, null]),
  );
  assert.is(
    usage?.completion_tokens,
    all.reduce((sum, { tokens }) => sum + tokens.length, 0),
  );
  assert.is((await refusal(client.completions.create({ ...asked, best_of: 4, stream: true }))).param, "best_of");
});

test("a chat goes through the template, streamed or not, with n choices", async () => {
  const { client, model } = open;
  const asked = { model: "stories260K", messages, max_tokens: 12, temperature: 0.9, seed: 11, n: 2 };
  const tokens = model.tokenizer?.encode("<s>Once upon a time", { addSpecialTokens: false }) ?? [];
  const expected = [];
  for (const seed of [11, 12]) {
    expected.push((await model.generate(tokens, { maxNewTokens: 12, temperature: 0.9, seed }).result()).text);
  }
  const answer = await client.chat.completions.create(asked);
  assert.equal(
    answer.choices.map(({ message }) => message.content),
    expected,
  );
  assert.is(answer.choices[0]?.message.role, "assistant");
  const texts = ["", ""];
  for await (const { choices } of await client.chat.completions.create({ ...asked, stream: true })) {
    for (const { index, delta } of choices) texts[index] += delta.content ?? "";
  }
  assert.equal(texts, expected);
});

test("penalties and biases act as in the library", async () => {
  const { client, model } = open;
  const answer = await client.chat.completions.create({
    ...{ model: "stories260K", messages, max_tokens: 10, temperature: 0 },
    ...{ presence_penalty: 1, frequency_penalty: 1.5, logit_bias: { 403: 4 } },
  });
  const tokens = model.tokenizer?.encode("<s>Once upon a time", { addSpecialTokens: false }) ?? [];
  const options = { maxNewTokens: 10, presencePenalty: 1, frequencyPenalty: 1.5, logitBias: { 403: 4 } };
  assert.is(answer.choices[0]?.message.content, (await model.generate(tokens, options).result()).text);
});

test("JSON objects and schemas", async () => {
  const { client } = open;
  const schema = {
    type: "object",
    properties: { city: { type: "string", maxLength: 8 }, degrees: { type: "integer", minimum: -40, maximum: 50 } },
    required: ["city", "degrees"],
    additionalProperties: false,
  };
  const asked = { model: "stories260K", messages, max_tokens: 150, temperature: 1, seed: 5 };
  const answer = await client.chat.completions.create({
    ...asked,
    response_format: { type: "json_schema", json_schema: { name: "weather", strict: true, schema } },
  });
  const { city, degrees } = JSON.parse(answer.choices[0]?.message.content ?? "") as { city: string; degrees: number };
  assert.ok([...city].length <= 8 && Number.isInteger(degrees) && degrees >= -40 && degrees <= 50);
  const refused = await refusal(
    client.chat.completions.create({
      ...asked,
      response_format: { type: "json_schema", json_schema: { name: "x", schema: { type: "object", minimumish: 1 } } },
    }),
  );
  assert.is(refused.status, 400);
  assert.is(refused.param, "response_format");
  assert.match(refused.message, /minimumish is not supported/);
});

test("what cannot be honoured is refused by name, and what changes nothing is ignored", async () => {
  const { client } = open;
  const asked = { model: "stories260K", messages, max_tokens: 2 };
  const refused = async (more: object) => refusal(client.chat.completions.create({ ...asked, ...more } as never));
  assert.equal(
    [(await refused({ temperature: -1 })).status, (await refused({ temperature: -1 })).param],
    [400, "temperature"],
  );
  assert.is((await refused({ audio: { voice: "x" } })).code, "unsupported_field");
  assert.match((await refused({ temprature: 1 })).message, /Did you mean temperature/);
  assert.is((await refused({ messages: [{ role: "user", content: [{ type: "image_url" }] }] })).status, 400);
  assert.is(
    (await refused({ messages: [{ role: "user", content: "word ".repeat(600) }] })).code,
    "context_length_exceeded",
  );
  assert.is((await refused({ model: "gpt-4o" })).status, 404);
  assert.is((await refused({ top_logprobs: 2 })).param, "top_logprobs");
  // The path of what is wrong, whatever reads it.
  const paths: readonly (readonly [object, string])[] = [
    [{ stream_options: { x: true } }, "stream_options.x"],
    [{ logit_bias: { "3": 101 } }, "logit_bias.3"],
    [{ logit_bias: { "512": 1 } }, "logit_bias"],
    [{ response_format: { type: "xml" } }, "response_format.type"],
    [{ interventions: [{ bundle: "x", strength: 1 }] }, "interventions[0].strength"],
  ];
  for (const [more, path] of paths) assert.is((await refused(more)).param, path);
  for (const prompt of [[], [[]], [99_999]]) {
    assert.is(
      (await refusal(client.completions.create({ model: "stories260K", prompt: prompt as never }))).param,
      "prompt",
    );
  }
  assert.is((await refused({ tools: [{ type: "function", function: { name: "f" } }] })).param, "tools");
  const ignored = await client.chat.completions.create({
    ...asked,
    user: "u",
    store: false,
    metadata: { a: "b" },
    service_tier: "auto",
    seed: null,
    // As an answer's object is sent back by some clients.
    messages: [
      ...messages,
      { role: "assistant", content: "x", refusal: null, tool_calls: null, function_call: null, audio: null } as never,
      ...messages,
    ],
  });
  assert.is(ignored.choices.length, 1);
  const seeded = (seed: number) =>
    client.completions.create({ model: "stories260K", prompt: "The", max_tokens: 6, seed });
  assert.is((await seeded(2 ** 60 + 4096)).choices[0]?.text, (await seeded(4096)).choices[0]?.text);
});

test("a client that leaves frees its sequence", async () => {
  const { client } = open;
  const controller = new AbortController();
  const stream = await client.completions.create(
    { model: "stories260K", prompt: "Once upon a time", max_tokens: 200, stream: true, temperature: 0 },
    { signal: controller.signal },
  );
  for await (const _ of stream) controller.abort();
  for (let i = 0; i < 100 && (await running()) > 0; i++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.is(await running(), 0);
});

/** From /metrics. */
async function running(): Promise<number> {
  const text = await (await fetch(`${open.server.address}/metrics`)).text();
  return Number(/^sluice_batch_running (\d+)$/m.exec(text)?.[1]);
}

test("health and metrics", async () => {
  const { address } = open.server;
  assert.equal(await (await fetch(`${address}/health`)).json(), { status: "ok" });
  const text = await (await fetch(`${address}/metrics`)).text();
  for (const name of [
    "queue_length",
    "batch_running",
    "kv_slots_used",
    "new_tokens_total",
    "time_to_first_token_seconds_count",
  ]) {
    assert.match(text, new RegExp(`^sluice_${name} \\d+`, "m"));
  }
  assert.match(text, /sluice_requests_total\{route="\/v1\/chat\/completions",status="200"\} \d+/);
  assert.equal(open.faults, []);
});

test.run();
