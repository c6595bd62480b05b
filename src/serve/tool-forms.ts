/** How a model writes tool calls, as its chat template shows, and what it must write if it is told to call one. */

import { SluiceError } from "../errors.ts";
import { compileSchema } from "../grammar/json-schema.ts";
import type { FramedJson, Tokenizer } from "../index.ts";
import type { ChatFields } from "./fields.ts";
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

/** What `tool_choice` says: which tools may be called, and whether one must. */
export interface ToolChoice {
  readonly mode: "none" | "auto" | "required";
  /** Names; undefined: all. */
  readonly names?: readonly string[];
}

/** @returns undefined for what is none of OpenAI's forms */
export function readToolChoice(choice: ChatFields["tool_choice"]): ToolChoice | undefined {
  if (choice === undefined) return { mode: "auto" };
  if (typeof choice === "string") {
    return choice === "none" || choice === "auto" || choice === "required" ? { mode: choice } : undefined;
  }
  const nameOf = (tool: unknown): unknown =>
    (tool as { readonly function?: { readonly name?: unknown } } | null)?.function?.name;
  if (choice.type === "allowed_tools") {
    const { mode, tools } = (choice.allowed_tools ?? {}) as { readonly mode?: unknown; readonly tools?: unknown };
    const names = Array.isArray(tools) ? tools.map(nameOf) : [];
    if ((mode !== "auto" && mode !== "required") || names.length === 0) return undefined;
    return names.every((name) => typeof name === "string") ? { mode, names } : undefined;
  }
  const name = nameOf(choice);
  return choice.type === "function" && typeof name === "string" ? { mode: "required", names: [name] } : undefined;
}

/** @throws Problem 400 for a tool whose schema a call cannot be held to */
export function checkSchemas(tools: readonly Tool[]): void {
  for (const { name, parameters } of tools) {
    try {
      compileSchema(parameters);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      throw new Problem(400, `The tool ${name}: ${error.message}`, { code: "invalid_value", param: "tools" });
    }
  }
}

/** Tools of a request. @throws Problem 400 */
export function readTools(given: readonly Readonly<Record<string, unknown>>[]): readonly Tool[] {
  return given.map((tool, i) => {
    const described = tool.function as { readonly name?: unknown; readonly parameters?: unknown } | undefined;
    const { name } = described ?? {};
    const parameters = described?.parameters ?? { type: "object", properties: {} };
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
