/** `sluice chat --server`, and many clients at once, some of which leave, against a server of ours. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { input } from "../cli/fake-process.ts";
import { run } from "../cli/fake-world.ts";
import { openServer } from "./node-open-server.ts";

test("a conversation with a server goes on with what was said", async () => {
  const open = await openServer();
  const { address } = open.server;
  const line = ["chat", "--server", address, "--temperature", "0", "--max-new-tokens", "8"];
  const { code, stdout } = await run(line, { stdin: input(["Once upon a time\nThen\n"]) });
  const ask = async (messages: readonly object[]): Promise<string> => {
    const asked = { model: "stories260K", messages, temperature: 0, max_tokens: 8 };
    return (await open.client.chat.completions.create(asked as never)).choices[0]?.message.content ?? "";
  };
  const opening = { role: "user", content: "Once upon a time" };
  const first = await ask([opening]);
  const second = await ask([opening, { role: "assistant", content: first }, { role: "user", content: "Then" }]);
  assert.is(code, 0);
  assert.is(stdout, `${first}\n${second}\n`);
  const key = { server: "http://127.0.0.1:9" };
  assert.is((await run(["chat", "--server", key.server], { stdin: input(["Hi\n"]) })).code, 1);
  assert.is((await run(["chat", "m", "--server", address], { stdin: input([]) })).code, 2);
  await open.close();
});

test("clients that leave or send rubbish change nothing of the others' answers", async () => {
  const open = await openServer("plain", { sequences: 4, context: 96 });
  const { client, model } = open;
  const wanted = Array.from({ length: 12 }, (_, i) => ({
    model: "stories260K",
    prompt: ["Once upon a time", "The dog", "Lily"][i % 3] as string,
    max_tokens: 10 + i,
    temperature: i % 2,
    seed: i,
  }));
  const rubbish = () =>
    fetch(`${open.server.address}/v1/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: '{"prompt":',
    });
  const answers = await Promise.all(
    wanted.map(async (asked, i) => {
      if (i % 4 === 3) await rubbish();
      const stream = await client.completions.create({ ...asked, stream: true });
      let text = "";
      let count = 0;
      for await (const { choices } of stream) {
        text += choices[0]?.text ?? "";
        if (i % 3 === 2 && ++count === 4) stream.controller.abort();
      }
      return text;
    }),
  );
  for (const [i, { prompt, max_tokens, temperature, seed }] of wanted.entries()) {
    const alone = (await model.generate(prompt, { maxNewTokens: max_tokens, temperature, seed }).result()).text ?? "";
    if (i % 3 === 2) assert.ok(alone.startsWith(answers[i] as string), "what came before it left is the beginning");
    else assert.is(answers[i], alone);
  }
  assert.equal(open.faults, []);
  await open.close();
});

test.run();
