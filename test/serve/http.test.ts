/** Guards, bundles, interventions and tools over HTTP, and how a server ends. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { writeBundle } from "../../src/index.ts";
import { bundleOf } from "../interventions/model-configs.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { openServer, pushBundle, withServer } from "./node-open-server.ts";

/** A bundle for stories260K that keeps the last two MLPs from the logits. */
async function cutBundle() {
  const model = await load(location("weights/stories260K"));
  const { config } = model;
  model.dispose();
  const edges = ["blocks.3.mlp", "blocks.4.mlp"].map((source) => [source, "logits", 0] as const);
  return bundleOf(config, [{ id: "cut", kind: "edge_mask", destinations: "qkv_groups", edges }], {});
}

test("keys, origins, types and sizes are guarded", async () => {
  await withServer(
    { key: "secret-key", origins: ["https://good.example"] },
    async ({ server: { address }, client, faults }) => {
      const post = (headers: Record<string, string>, body: BodyInit = "{}") =>
        fetch(`${address}/v1/completions`, { method: "POST", headers, body });
      const json = { "Content-Type": "application/json" };
      const key = { Authorization: "Bearer secret-key" };
      assert.is((await fetch(`${address}/health`)).status, 200);
      for (const wrong of [{}, { Authorization: "Bearer secret-kez" }, { Authorization: "secret-key" }]) {
        const answer = await post({ ...json, ...wrong });
        assert.is(answer.status, 401);
        assert.is(((await answer.json()) as { error: { code: string } }).error.code, "invalid_api_key");
      }
      assert.is((await fetch(`${address}/metrics`)).status, 401);
      assert.is((await post({ ...json, ...key, Origin: "https://bad.example" })).status, 403);
      const good = await post({ ...json, ...key, Origin: "https://good.example" });
      assert.is(good.status, 400);
      assert.is(good.headers.get("Access-Control-Allow-Origin"), "https://good.example");
      const preflight = await fetch(`${address}/v1/completions`, {
        method: "OPTIONS",
        headers: {
          Origin: "https://good.example",
          "Access-Control-Request-Method": "POST",
          "Access-Control-Request-Headers": "authorization",
        },
      });
      assert.is(preflight.status, 204);
      assert.is((await post({ ...key, "Content-Type": "text/plain" })).status, 415);
      assert.is((await post({ ...json, ...key }, "{")).status, 400);
      assert.is((await post({ ...json, ...key }, "[]")).status, 400);
      assert.is((await post({ ...json, ...key }, JSON.stringify({ prompt: "x".repeat(5 << 20) }))).status, 413);
      assert.is((await post({ ...json, ...key, "Content-Encoding": "gzip" })).status, 415);
      assert.is((await fetch(`${address}/v1/nothing`, { headers: key })).status, 404);
      const wrong = await fetch(`${address}/v1/completions`, { headers: key });
      assert.equal([wrong.status, wrong.headers.get("Allow")], [405, "POST"]);
      assert.is((await fetch(`${address}/v1/bundles/x`, { method: "PUT", headers: key, body: "x" })).status, 403);
      assert.is((await client.models.list()).data.length, 1);
      assert.equal(faults, []);
    },
  );
});

test("requests of strangers are refused by name, in little time, and are no fault of the server", async () => {
  await withServer(
    { bundles: new Map([["push", await pushBundle("push")]]) },
    async ({ server: { address }, faults }) => {
      const deep = "[".repeat(100_000) + "]".repeat(100_000);
      const schema = (text: string) =>
        `{"prompt":"a","response_format":{"type":"json_schema","json_schema":{"schema":${text}}}}`;
      const asked = (more: string) => `{"messages":[{"role":"user","content":"a"}],${more}}`;
      const requests: readonly (readonly [path: string, body: string])[] = [
        ["v1/completions", `{"prompt":${deep}}`],
        ["v1/completions", `{"prompt":"a","__proto__":{"temperature":2}}`],
        ["v1/completions", `{"prompt":"a","constructor":1}`],
        ["v1/completions", `{"prompt":"a","${"_".repeat(2_000_000)}":1}`],
        ["v1/completions", `{"prompt":"a","logit_bias":{"__proto__":1}}`],
        ["v1/completions", `{"prompt":"a","steering":{"vectors":[{"name":"push","layers":[{"toString":1}]}]}}`],
        ["v1/completions", `{"prompt":"a","steering":{"vectors":[{"name":"push","layers":["1"]}]}}`],
        [
          "v1/completions",
          `{"prompt":"a","steering":{"vectors":[{"name":"push","layers":[[${"[".repeat(500)}${"]".repeat(500)}]]}]}}`,
        ],
        ["v1/completions", schema(`{"const":${"[".repeat(400)}${"]".repeat(400)}}`)],
        ["v1/completions", schema(`{"$ref":"#/%"}`)],
        ["v1/completions", schema(`{"enum":[${"1,".repeat(500_000)}1]}`)],
        ["v1/chat/completions", asked(`"chat_template_kwargs":{"a":${deep}}`)],
        ["v1/chat/completions", asked(`"tools":[{"type":"function","function":{"name":"f","parameters":${deep}}}]`)],
        // Read to their ends, these took 14 s.
        ["v1/completions", `{"prompt":"${"the cat sat. ".repeat(300_000)}"}`],
        ["v1/chat/completions", `{"messages":[{"role":"user","content":"${"the cat sat. ".repeat(300_000)}"}]}`],
        ["api/steer", `{"prompt":"a","vectors":[{"steering_vector":${deep},"strength":1,"hook":"x"}]}`],
      ];
      for (const [path, body] of requests) {
        const began = performance.now();
        const headers = { "Content-Type": "application/json" };
        const answer = await fetch(`${address}/${path}`, { method: "POST", headers, body });
        const text = await answer.text();
        assert.is(answer.status, 400, `${body.slice(0, 80)}: ${text.slice(0, 200)}`);
        assert.ok(text.length < 1500, body.slice(0, 80));
        assert.ok(performance.now() - began < 5000, body.slice(0, 80));
      }
      assert.equal(faults, []);
    },
  );
});

test("each request has its own interventions; bundles come and go", async () => {
  const push = await pushBundle("push");
  const cut = await cutBundle();
  const bundles = new Map([
    ["push", push],
    ["cut", cut],
  ]);
  await withServer({ bundles, allowUploads: true }, async ({ server: { address }, client, model }) => {
    const prompt = "Once upon a time";
    const ask = async (more: object): Promise<string> => {
      const asked = { model: "stories260K", prompt, max_tokens: 12, temperature: 0, ...more };
      return (
        (await client.completions.create(asked as never as { model: string; prompt: string })).choices[0]?.text ?? ""
      );
    };
    const plain = (await model.generate(prompt, { maxNewTokens: 12 }).result()).text;
    const edited = (await model.with([push]).generate(prompt, { maxNewTokens: 12 }).result()).text;
    const strong = (
      await model
        .with([push], { strengths: { push: 6 } })
        .generate(prompt, { maxNewTokens: 12 })
        .result()
    ).text;
    const without = (await model.with([cut]).generate(prompt, { maxNewTokens: 12 }).result()).text;
    const whole = ["blocks.3.mlp", "blocks.4.mlp"].map((source) => [source, "logits", 1]);
    const masked = await Promise.all([
      ask({ interventions: [{ bundle: "cut" }] }),
      ask({ interventions: [{ bundle: "cut", edges: whole }] }),
      ask({ interventions: [{ bundle: "push" }, { bundle: "cut", edges: whole }] }),
    ]);
    assert.equal(masked, [without, plain, edited]);
    assert.is.not(without, plain);
    const texts = await Promise.all([
      ask({}),
      ask({ interventions: [{ bundle: "push" }] }),
      ask({ interventions: [{ bundle: "push", stages: { push: { strength: 6 } } }] }),
      ask({ interventions: [{ bundle: "push", stages: { push: { strength: 0 } } }] }),
      ask({ interventions: [] }),
      ask({ steer_vector_request: { steer_vector_name: "push", steer_vector_int_id: 1, scale: 6 } }),
      ask({ steer_vector_request: { steer_vector_local_path: "/nowhere/push.gguf" } }),
    ]);
    assert.equal(texts, [plain, edited, strong, plain, plain, strong, edited]);
    assert.ok(new Set(texts).size === 3);

    const refused = async (more: object) => {
      const answer = await fetch(`${address}/v1/completions`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ prompt, ...more }),
      });
      return `${answer.status} ${((await answer.json()) as { error?: { message: string } }).error?.message}`;
    };
    assert.match(
      await refused({ interventions: [{ bundle: "pull" }] }),
      /^400 There is no bundle "pull"; there are push, cut/,
    );
    assert.match(
      await refused({ interventions: [{ bundle: "push", stages: { pull: {} } }] }),
      /^400 .*no stage "pull"; it has push/,
    );
    assert.match(await refused({ interventions: [{ bundle: "push", strength: 1 }] }), /^400 .*strength is not known/);
    assert.match(
      await refused({ steer_vector_request: { steer_vector_name: "push", target_layers: [3] } }),
      /^400 .*target_layers/,
    );

    const put = (name: string, body: BodyInit) => fetch(`${address}/v1/bundles/${name}`, { method: "PUT", body });
    const bytes = writeBundle(await pushBundle("other", 6)) as Uint8Array<ArrayBuffer>;
    assert.is((await put("other", bytes)).status, 201);
    assert.is(await ask({ interventions: [{ bundle: "other" }] }), strong);
    assert.is((await put("other", writeBundle(push) as Uint8Array<ArrayBuffer>)).status, 200);
    assert.is(await ask({ interventions: [{ bundle: "other" }] }), edited);
    assert.is((await put("broken", bytes.slice(0, 40))).status, 400);
    assert.is((await put("..%2Fetc", bytes)).status, 400);
    const listed = (await (await fetch(`${address}/v1/bundles`)).json()) as { data: { id: string }[] };
    assert.equal(
      listed.data.map(({ id }) => id),
      ["push", "cut", "other"],
    );
    assert.is((await fetch(`${address}/v1/bundles/other`, { method: "DELETE" })).status, 200);
    assert.is((await fetch(`${address}/v1/bundles/other`)).status, 404);
    assert.match(await refused({ interventions: [{ bundle: "other" }] }), /^400 /);
  });
});

const tools = [
  {
    type: "function" as const,
    function: {
      name: "get_weather",
      description: "Weather",
      parameters: {
        type: "object",
        properties: { city: { type: "string", maxLength: 6 }, days: { type: "integer", minimum: 1, maximum: 9 } },
        required: ["city", "days"],
        additionalProperties: false,
      },
    },
  },
];

for (const template of ["tagged", "bare"] as const) {
  test(`a tool call is forced by the grammar and parsed, streamed or not (${template})`, async () => {
    await withServer(
      {},
      async ({ client }) => {
        const asked = {
          ...{
            model: "stories260K",
            messages: [{ role: "user" as const, content: "Weather?" }],
            tools,
            max_tokens: 150,
          },
          ...{ tool_choice: "required" as const, temperature: 1, seed: 2 },
        };
        const answer = await client.chat.completions.create(asked);
        const [choice] = answer.choices;
        assert.is(choice?.finish_reason, "tool_calls");
        assert.is(choice?.message.content, null);
        const [call] = choice?.message.tool_calls ?? [];
        assert.ok(call?.type === "function" && call.id !== "");
        assert.is(call.function.name, "get_weather");
        const { city, days } = JSON.parse(call.function.arguments) as { city: string; days: number };
        assert.ok([...city].length <= 6 && days >= 1 && days <= 9);
        let streamed = "";
        let finish: unknown;
        for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
          streamed += chunk.choices[0]?.delta.tool_calls?.[0]?.function?.arguments ?? "";
          finish = chunk.choices[0]?.finish_reason ?? finish;
        }
        assert.is(streamed, call.function.arguments);
        assert.is(finish, "tool_calls");
        // The conversation goes on with the call and its result.
        const next = await client.chat.completions.create({
          ...{
            ...asked,
            tool_choice: { type: "allowed_tools" as const, allowed_tools: { mode: "auto" as const, tools } },
          },
          max_tokens: 3,
          messages: [
            ...asked.messages,
            choice?.message as never,
            { role: "tool", tool_call_id: call.id, content: "rain" },
          ],
        });
        assert.is(next.choices.length, 1);
        const odd = { type: "function", function: { name: "f", parameters: { type: "object", not: {} } } };
        const refused = await client.chat.completions
          .create({ ...asked, tools: [odd as never] })
          .catch((error: unknown) => error as { readonly param: unknown; readonly message: string });
        assert.ok("param" in refused);
        assert.is(refused.param, "tools");
        assert.match(refused.message, /The tool f: The JSON schema: #\/not is not supported/);
      },
      template,
    );
  });
}

test("a full queue is refused with a time to come back, and a draining server ends what it began", async () => {
  const open = await openServer("plain", { sequences: 1, context: 200 });
  const { address } = open.server;
  const ask = (max_tokens: number, n = 1) =>
    fetch(`${address}/v1/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ prompt: "Once upon a time", max_tokens, n, temperature: 0 }),
    });
  // More than ever fit are not asked to come back.
  assert.is((await ask(1, 10)).status, 400);
  assert.is((await ask(1, 9)).status, 200);
  const answers = await Promise.all(Array.from({ length: 14 }, () => ask(30)));
  const refused = answers.filter(({ status }) => status === 429);
  assert.ok(refused.length >= 4, `${refused.length} were refused`);
  assert.ok(refused.every(({ headers }) => Number(headers.get("Retry-After")) >= 1));
  assert.ok(answers.filter(({ status }) => status === 200).length >= 8);
  const last = ask(150);
  // A request that has not arrived by then is refused by the closed port.
  const isRunning = async () => /^sluice_batch_running 1$/m.test(await (await fetch(`${address}/metrics`)).text());
  const over = last.then(() => true);
  const soon = () => new Promise<boolean>((resolve) => setTimeout(resolve, 5, false));
  while (!(await isRunning()) && !(await Promise.race([over, soon()])));
  const closed = open.close();
  const answer = await last;
  assert.is(answer.status, 200);
  assert.is(((await answer.json()) as { usage: { completion_tokens: number } }).usage.completion_tokens, 150);
  await closed;
  assert.is(
    await ask(1).then(
      () => "answered",
      () => "gone",
    ),
    "gone",
  );
});

test.run();
