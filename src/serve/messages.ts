/** Messages of a request as chat templates expect them. */
import { show } from "../show.ts";
import { parseJson } from "./body.ts";
import { Problem } from "./problem.ts";

type Given = Readonly<Record<string, unknown>>;

const ROLES = new Set(["system", "developer", "user", "assistant", "tool"]);

/**
 * Text parts are joined, arguments of tool calls are values and not their JSON, and `developer` is `system`.
 * @throws Problem 400 for a role that does not exist, or content that is not text
 */
export function messagesOf(messages: readonly Given[]): readonly Given[] {
  return messages.map((message, i) => {
    const param = `messages[${i}]`;
    const { role, content, tool_calls } = message;
    if (typeof role !== "string" || !ROLES.has(role)) {
      throw new Problem(400, `${param}.role must be one of ${[...ROLES].join(", ")}`, { param: `${param}.role` });
    }
    // Clients send answers back with the fields that these did not have, and templates ask whether there are any calls.
    const present = Object.entries(message).filter(([, value]) => value !== null && !isEmptyList(value));
    return {
      ...Object.fromEntries(present),
      role: role === "developer" ? "system" : role,
      content: contentOf(content, `${param}.content`, role === "assistant"),
      ...(Array.isArray(tool_calls) &&
        tool_calls.length > 0 && {
          tool_calls: tool_calls.map((call: unknown, c) => callOf(call, `${param}.tool_calls[${c}]`)),
        }),
    };
  });
}

function contentOf(content: unknown, param: string, mayLack: boolean): string | null {
  if (typeof content === "string") return content;
  if ((content === undefined || content === null) && mayLack) return null;
  if (!Array.isArray(content)) throw new Problem(400, `${param} must be a text or a list of text parts`, { param });
  return content
    .map((part: unknown) => {
      const { type, text } = (part ?? {}) as { readonly type?: unknown; readonly text?: unknown };
      if ((type === "text" || type === "refusal") && typeof text === "string") return text;
      throw new Problem(400, `${param} has a part of the type ${show(type)}: this model reads text alone`, {
        param,
      });
    })
    .join("");
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

function callOf(call: unknown, param: string): Given {
  const described = (call as { readonly function?: { readonly name?: unknown; readonly arguments?: unknown } } | null)
    ?.function;
  const { name, arguments: given } = described ?? {};
  if (typeof name !== "string")
    throw new Problem(400, `${param} must be { id, type, function: { name, arguments } }`, { param });
  if (typeof given !== "string") return call as Given;
  const values = parseJson(given === "" ? "{}" : given, `${param}.function.arguments`, param);
  return { ...(call as Given), function: { name, arguments: values } };
}
