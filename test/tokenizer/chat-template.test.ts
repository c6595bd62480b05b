import { test } from "uvu";
import * as assert from "uvu/assert";
import { loaded } from "./tokenizer-of.ts";

const gpt2 = { architecture: "gpt2", vocab_size: 50257 } as const;
const turns = [
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Hello." },
];
const template =
  "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}assistant:{% endif %}";

const withConfig = (config: Record<string, unknown>, more: Record<string, unknown> = {}) =>
  loaded({ "tokenizer_config.json": config, ...more }, gpt2);

test("lays out a conversation with the special tokens, given as strings or objects", async () => {
  const tokenizer = await withConfig({
    chat_template: template,
    bos_token: "<s>",
    eos_token: { content: "</s>", special: true },
  });
  assert.is(
    tokenizer.applyChatTemplate(turns, { addGenerationPrompt: true }),
    "<s>user: Hi</s>\nassistant: Hello.</s>\nassistant:",
  );
  assert.is(tokenizer.applyChatTemplate(turns.slice(0, 1), { addGenerationPrompt: false }), "<s>user: Hi</s>\n");
});

test("chat_template.jinja goes before tokenizer_config.json", async () => {
  const tokenizer = await withConfig(
    { chat_template: "old" },
    { "chat_template.jinja": "{{ messages | length }} turns" },
  );
  assert.is(tokenizer.applyChatTemplate(turns, { addGenerationPrompt: false }), "2 turns");
});

test("takes the default of several templates, and tool_use when there are tools", async () => {
  const tokenizer = await withConfig({
    chat_template: [
      { name: "default", template: "plain" },
      { name: "tool_use", template: "{{ tools[0].name }}" },
    ],
  });
  assert.is(tokenizer.applyChatTemplate(turns, { addGenerationPrompt: false }), "plain");
  assert.is(tokenizer.applyChatTemplate(turns, { addGenerationPrompt: false, tools: [{ name: "clock" }] }), "clock");
});

test("passes on why a template refuses", async () => {
  const tokenizer = await withConfig({ chat_template: "{{ raise_exception('roles must alternate') }}" });
  assert.throws(() => tokenizer.applyChatTemplate(turns, { addGenerationPrompt: true }), /roles must alternate/);
});

test("says when there is no template, no default, or a broken one", async () => {
  const render = async (config: Record<string, unknown>) =>
    (await withConfig(config)).applyChatTemplate.bind(null, turns, { addGenerationPrompt: true });
  assert.throws(await render({}), /no chat template/);
  assert.throws(await render({ chat_template: [{ name: "rag", template: "x" }] }), /only: rag/);
  assert.throws(await render({ chat_template: "{% if %}" }), /chat template "default" failed/);
});

test.run();
