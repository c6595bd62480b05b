import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import type { ChatMessage, ChatTemplateOptions } from "../../src/tokenizer/tokenizer.ts";
import { loaded } from "./tokenizer-of.ts";

const gpt2 = { architecture: "gpt2", vocab_size: 50257 } as const;
const turns = [
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Hello." },
];
const template =
  "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}assistant:{% endif %}";

/** Is it an error of this code that says so? */
const refusal = (code: string, says: RegExp) => (error: unknown) =>
  error instanceof SluiceError && error.code === code && says.test(error.message);

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
  assert.throws(
    await render({ chat_template: "x\n{% if %}" }),
    refusal("bad_file", /chat template "default" cannot be read, line 2: Expected an expression/),
  );
});

test("tools and documents are None, and any other variable can be passed", async () => {
  const tokenizer = await withConfig({
    chat_template: "{{ tools }} {{ documents }} {{ enable_thinking is defined }} {{ enable_thinking }} {{ bos_token }}",
    bos_token: "<s>",
  });
  assert.is(tokenizer.applyChatTemplate(turns), "None None False  <s>");
  assert.is(
    tokenizer.applyChatTemplate(turns, {
      tools: [],
      documents: [{ title: "a", text: "b" }],
      variables: { enable_thinking: false, bos_token: "<b>" },
    }),
    "[] [{'title': 'a', 'text': 'b'}] True False <b>",
  );
  // The names that transformers has.
  const loose = { add_generation_prompt: true, enable_thinking: 1 } as unknown as ChatTemplateOptions;
  assert.is(tokenizer.applyChatTemplate(turns, loose), "None None True 1 <s>");
});

test("options and messages that make no sense are refused by name", async () => {
  const tokenizer = await withConfig({ chat_template: "{{ messages[0].content }}" });
  const refuses = (messages: unknown, options: unknown, says: RegExp): void =>
    assert.throws(
      () => tokenizer.applyChatTemplate(messages as ChatMessage[], options as ChatTemplateOptions),
      refusal("usage", says),
    );
  refuses("hi", {}, /messages is "hi"/);
  refuses([], {}, /messages is empty/);
  refuses([null], {}, /messages\[0\] is null/);
  refuses(turns, { addGenerationPromt: true }, /addGenerationPromt/);
  refuses(turns, { addGenerationPrompt: "yes" }, /addGenerationPrompt is "yes"/);
  refuses(turns, { tools: {} }, /tools is/);
  refuses(turns, { variables: { messages: [] } }, /variables\.messages/);
  refuses(turns, { template: "tool_use" }, /no chat template named "tool_use"/);
  refuses(turns, { addGenerationPrompt: true, continueFinalMessage: true }, /exclude each other/);
  refuses([{ role: "user", content: () => 1 }], {}, /messages\[0\]\.content is a function/);
});

test("parts of content reach the template as they are", async () => {
  const content = [{ type: "text", text: "Hi" }];
  const tokenizer = await withConfig({
    chat_template:
      "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[0].text }}{% endif %}{% endfor %}",
  });
  assert.is(tokenizer.applyChatTemplate([{ role: "user", content }, ...turns]), "HiHiHello.");
});

test("continues the last message", async () => {
  const tokenizer = await withConfig({
    chat_template:
      "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}{% if m.thinking %}({{ m.thinking }}){% endif %}</>{% endfor %}",
  });
  const ending = (content: string): ChatMessage[] => [turns[0] as ChatMessage, { role: "assistant", content }];
  const goOn = (messages: ChatMessage[], field: true | string = true): string =>
    tokenizer.applyChatTemplate(messages, { continueFinalMessage: field });
  assert.is(goOn(ending("The sky is")), "<user>Hi</><assistant>The sky is");
  assert.is(goOn(ending("The sky is ")), "<user>Hi</><assistant>The sky is");
  assert.is(goOn([{ role: "assistant", content: "a", thinking: "b" }], "thinking"), "<assistant>a(b");
  assert.throws(() => goOn([{ role: "assistant", content: null }]), refusal("usage", /no "content"/));
  assert.throws(() => goOn(ending("x"), "mood"), refusal("usage", /no "mood"/));
});

test("templates come from files next to the configuration, in transformers' order", async () => {
  const files = {
    "chat_template.jinja": "file",
    "additional_chat_templates/tool_use.jinja": "tools",
    "additional_chat_templates/rag.jinja": "rag",
    "chat_template.json": { chat_template: "legacy" },
  };
  const all = await withConfig({ chat_template: "config" }, files);
  assert.is(all.applyChatTemplate(turns), "file");
  assert.is(all.applyChatTemplate(turns, { tools: [] }), "tools");
  assert.is(all.applyChatTemplate(turns, { template: "rag" }), "rag");
  assert.is(all.applyChatTemplate(turns, { template: "{{ messages | length }}" }), "2");
  const legacy = { "chat_template.json": files["chat_template.json"] };
  assert.is((await withConfig({ chat_template: "config" }, legacy)).applyChatTemplate(turns), "config");
  assert.is((await withConfig({}, legacy)).applyChatTemplate(turns), "legacy");
});

test("templates that cannot be read do not stop the model from being loaded", async () => {
  const tokenizer = await withConfig({}, { "chat_template.json": "{" });
  assert.ok(tokenizer.encode("Hi").length > 0);
  assert.throws(() => tokenizer.applyChatTemplate(turns), refusal("bad_file", /chat_template\.json/));
});

test("the clock can be given", async () => {
  const tokenizer = await withConfig({ chat_template: "{{ strftime_now('%d %b %Y') }}" });
  assert.is(tokenizer.applyChatTemplate(turns, { now: () => new Date(2024, 6, 26) }), "26 Jul 2024");
});

test("a template that does too much is stopped", async () => {
  const tokenizer = await withConfig({
    chat_template: "x{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
  });
  const start = performance.now();
  assert.throws(() => tokenizer.applyChatTemplate(turns), refusal("bad_file", /was stopped, line 1: .*too many steps/));
  assert.ok(performance.now() - start < 5000);
});

test("lists without end are refused at once", async () => {
  const tokenizer = await withConfig({ chat_template: template });
  const endless = new Array(2 ** 32 - 1);
  const refused = refusal("usage", /messages|documents|too large/);
  assert.throws(() => tokenizer.applyChatTemplate(endless), refused);
  assert.throws(() => tokenizer.applyChatTemplate([{ role: "user", content: endless }]), refused);
  assert.throws(() => tokenizer.applyChatTemplate([{ role: "user", content: "", x: endless }]), refused);
  assert.throws(() => tokenizer.applyChatTemplate(turns, { documents: endless }), refused);
  assert.throws(() => tokenizer.applyChatTemplate(turns, { variables: { x: endless } }), refused);
  assert.throws(() => tokenizer.applyChatTemplate(turns, { documents: [{ x: endless }] }), refused);
});

test.run();
