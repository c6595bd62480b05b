/** How a model writes tool calls, as its chat template shows, and what it must write if it is told to call one. */

import { SluiceError } from "../errors.ts";
import type { FramedJson, Tokenizer } from "../index.ts";
import { Problem } from "./problem.ts";
import type { Tool } from "./tool-calls.ts";

export type ToolForm = "tagged" | "bare";

const probe = {
  type: "function",
  function: {
    name: "probe_tool",
    description: "?",
    parameters: { type: "object", properties: { a: { type: "string" } } },
  },
};

/** `tagged`: `<tool_call>` of Hermes and Qwen; `bare`: Llama 3's JSON; null if the template does not show tools. */
export function toolFormOf(tokenizer: Tokenizer): ToolForm | null {
  const text = rendered(tokenizer);
  if (!text?.includes("probe_tool")) return null;
  return text.includes("<tool_call>") ? "tagged" : "bare";
}

/** A conversation with a tool; undefined if the template refuses it. */
function rendered(tokenizer: Tokenizer): string | undefined {
  const call = { id: "call_000000000", type: "function", function: { name: "probe_tool", arguments: { a: "b" } } };
  const messages = [
    { role: "user", content: "?" },
    { role: "assistant", content: "", tool_calls: [call] },
    { role: "tool", tool_call_id: "call_000000000", name: "probe_tool", content: "c" },
    { role: "user", content: "?" },
  ];
  for (const given of [messages, messages.slice(0, 1)]) {
    try {
      return tokenizer.applyChatTemplate(given, { tools: [probe], addGenerationPrompt: true });
    } catch (error) {
      // A template may refuse tool messages and still list tools.
      if (!(error instanceof SluiceError)) throw error;
    }
  }
  return undefined;
}

/** The forms of an answer that calls one of these tools. */
export function forcedCalls(form: ToolForm, tools: readonly Tool[]): readonly FramedJson[] {
  return tools.map(({ name, parameters: schema }) => {
    const quoted = JSON.stringify(name);
    return form === "tagged"
      ? { begin: `<tool_call>\n{"name": ${quoted}, "arguments":`, schema, end: "}\n</tool_call>" }
      : { begin: `{"name": ${quoted}, "parameters":`, schema, end: "}" };
  });
}

/** Tools of a request. @throws Problem 400 */
export function readTools(given: readonly Readonly<Record<string, unknown>>[]): readonly Tool[] {
  return given.map((tool, i) => {
    const described = tool.function as { readonly name?: unknown; readonly parameters?: unknown } | undefined;
    const { name, parameters = { type: "object", properties: {} } } = described ?? {};
    if (tool.type !== "function" || typeof name !== "string" || !/^[\w.-]{1,64}$/.test(name)) {
      throw new Problem(
        400,
        `tools[${i}] must be { type: "function", function: { name, parameters } }, its name of at most 64 letters, digits, _, . and -`,
        { param: "tools" },
      );
    }
    if (typeof parameters !== "object" || parameters === null || Array.isArray(parameters)) {
      throw new Problem(400, `tools[${i}].function.parameters must be a JSON schema`, { param: "tools" });
    }
    return { name, parameters: parameters as Tool["parameters"] };
  });
}
