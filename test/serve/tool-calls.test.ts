/** Tool calls as models write them, whole and in pieces cut anywhere. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AnswerStream, parseAnswer, type Tool, type ToolCall } from "../../src/serve/tool-calls.ts";

const tools: readonly Tool[] = [
  { name: "f", parameters: { type: "object", properties: { a: { type: "integer" }, s: { type: "string" } } } },
  { name: "g", parameters: {} },
];
const f = (values: object): ToolCall => ({ name: "f", arguments: JSON.stringify(values) });

const deep = "[".repeat(20_000) + "]".repeat(20_000);

const answers: readonly (readonly [text: string, content: string, calls: readonly ToolCall[]])[] = [
  ["Just text with { braces } and <tags>.", "Just text with { braces } and <tags>.", []],
  // Hermes, Qwen 2.5 and 3
  ['<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>', "", [f({ a: 1 })]],
  [
    'Let me see.\n<tool_call>\n{"arguments": {"s": "</x>"}, "name": "f"}\n</tool_call>\n<tool_call>{"name":"g","arguments":{}}</tool_call>',
    "Let me see.",
    [f({ s: "</x>" }), { name: "g", arguments: "{}" }],
  ],
  ['<tool_call>{"name": "f", "arguments": {"a": 2}}', "", [f({ a: 2 })]],
  // Qwen 3 Coder
  [
    "<tool_call>\n<function=f>\n<parameter=a>\n3\n</parameter>\n<parameter=s>\n12\n</parameter>\n</function>\n</tool_call>",
    "",
    [f({ a: 3, s: "12" })],
  ],
  // Names that JavaScript knows are names like others.
  [
    "<tool_call><function=f><parameter=__proto__>7</parameter><parameter=constructor>x</parameter></function></tool_call>",
    "",
    [{ name: "f", arguments: '{"__proto__":7,"constructor":"x"}' }],
  ],
  // Too deep to be printed again.
  [`{"name": "f", "parameters": {"a": ${deep}}}`, `{"name": "f", "parameters": {"a": ${deep}}}`, []],
  // Llama 3
  ['{"name": "f", "parameters": {"a": 4}}', "", [f({ a: 4 })]],
  [
    '<|python_tag|>{"name": "f", "parameters": {"s": "}{"}}; {"name": "g", "parameters": {}}',
    "",
    [f({ s: "}{" }), { name: "g", arguments: "{}" }],
  ],
  ['<function=f>{"a": 5}</function>', "", [f({ a: 5 })]],
  // None of these is a call.
  ['{"name": "unknown", "parameters": {}}', '{"name": "unknown", "parameters": {}}', []],
  ['{"answer": 42}', '{"answer": 42}', []],
  ["<tool_call>not JSON</tool_call>", "<tool_call>not JSON</tool_call>", []],
  ["a <tool_", "a <tool_", []],
];

test("calls in every form, and what only looks like one", () => {
  for (const [text, content, calls] of answers) {
    assert.equal(parseAnswer(text, tools), { content, calls }, text);
  }
});

test("pieces cut anywhere give the same", () => {
  for (const [text, content, calls] of answers) {
    for (const size of [1, 2, 5, 11]) {
      const stream = new AnswerStream(tools);
      const parts = [];
      for (let at = 0; at < text.length; at += size) parts.push(stream.push(text.slice(at, at + size)));
      parts.push(stream.end());
      assert.equal(
        parts.flatMap((part) => part.calls),
        calls,
        text,
      );
      const told = parts.map((part) => part.content).join("");
      assert.is(calls.length > 0 ? told.trim() : told, content, text);
    }
  }
});

test("a call is told as soon as it is complete", () => {
  const stream = new AnswerStream(tools);
  assert.equal(stream.push('<tool_call>{"name":"g","arguments":{}}</tool_call>').calls.length, 1);
  assert.equal(stream.push(' <tool_call>{"name":"f","arg').calls.length, 0);
  assert.equal(stream.push('uments":{"a":1}}</tool_call>').calls, [f({ a: 1 })]);
  assert.equal(stream.end(), { content: "", calls: [] });
});

test.run();
