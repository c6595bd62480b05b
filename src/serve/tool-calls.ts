/**
 * Tool calls in a model's answer, in the forms that Llama 3, Hermes and Qwen are trained to write:
 *
 *     {"name": "f", "parameters": {…}}                                      Llama 3, perhaps after <|python_tag|>
 *     <function=f>{…}</function>                                            Llama 3.1, custom tools
 *     <tool_call>{"name": "f", "arguments": {…}}</tool_call>                Hermes, Qwen 2.5 and 3
 *     <tool_call><function=f><parameter=a>…</parameter></function></tool_call>   Qwen 3 Coder
 */

import { MAX_NESTING, nesting } from "../formats/json.ts";

/** A tool as requests describe it. */
export interface Tool {
  readonly name: string;
  /** A JSON schema of its arguments. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface ToolCall {
  readonly name: string;
  /** JSON. */
  readonly arguments: string;
}

export interface ParsedAnswer {
  /** The text before the first call. */
  readonly content: string;
  readonly calls: readonly ToolCall[];
}

const MARKS = ["<tool_call>", "<|python_tag|>", "<function="] as const;

/** Splits an answer; an answer whose calls are damaged, or name no tool, is all content. */
export function parseAnswer(text: string, tools: readonly Tool[]): ParsedAnswer {
  const stream = new AnswerStream(tools);
  const parts = [stream.push(text), stream.end()];
  return { content: parts.map(({ content }) => content).join(""), calls: parts.flatMap(({ calls }) => calls) };
}

/** Splits an answer that comes in pieces. Text that may begin a call is held back until that is known. */
export class AnswerStream {
  readonly #tools: readonly Tool[];
  #held = "";
  #isCalling = false;
  #hasContent = false;

  constructor(tools: readonly Tool[]) {
    this.#tools = tools;
  }

  push(piece: string): ParsedAnswer {
    this.#held += piece;
    if (this.#isCalling) return { content: "", calls: this.#takeCalls() };
    const start = this.#held.trimStart();
    // An answer that is JSON from its beginning may be a call.
    if (!this.#hasContent && (start === "" || start.startsWith("{"))) return nothing;
    const at = Math.min(...MARKS.map((mark) => this.#held.indexOf(mark)).map((i) => (i < 0 ? Infinity : i)));
    if (at === Infinity) {
      const cut = this.#held.length - beginningOfMark(this.#held);
      return { content: this.#release(cut), calls: [] };
    }
    const content = this.#release(at);
    this.#isCalling = true;
    return { content: content.trim() === "" ? "" : content.trimEnd(), calls: this.#takeCalls() };
  }

  end(): ParsedAnswer {
    const rest = this.#held;
    this.#held = "";
    if (rest.trim() === "") return this.#isCalling ? nothing : { content: rest, calls: [] };
    const calls = bareCalls(rest, this.#tools) ?? tagged(rest, this.#tools);
    return calls ? { content: "", calls } : { content: rest, calls: [] };
  }

  #release(length: number): string {
    const text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    if (text.trim() !== "") this.#hasContent = true;
    return text;
  }

  /** Calls that are complete, in turn. */
  #takeCalls(): readonly ToolCall[] {
    const calls: ToolCall[] = [];
    for (;;) {
      const found = /^\s*<tool_call>[\s\S]*?<\/tool_call>/.exec(this.#held)?.[0];
      const parsed = found === undefined ? undefined : tagged(found, this.#tools);
      if (found === undefined || !parsed) return calls;
      calls.push(...parsed);
      this.#held = this.#held.slice(found.length);
    }
  }
}

const nothing: ParsedAnswer = { content: "", calls: [] };

/** How many of a text's last characters may begin a mark. */
function beginningOfMark(text: string): number {
  for (let length = Math.min(text.length, 20); length > 0; length--) {
    const end = text.slice(-length);
    if (MARKS.some((mark) => mark.startsWith(end))) return length;
  }
  return 0;
}

/** Objects one after another, perhaps with semicolons between; undefined unless all of it is calls. */
function bareCalls(text: string, tools: readonly Tool[]): readonly ToolCall[] | undefined {
  let rest = text
    .trim()
    .replace(/^<\|python_tag\|>/, "")
    .trim();
  const calls: ToolCall[] = [];
  while (rest !== "") {
    const end = endOfObject(rest);
    const call = end === undefined ? undefined : callOf(rest.slice(0, end), tools);
    if (end === undefined || !call) return undefined;
    calls.push(call);
    rest = rest.slice(end).replace(/^[\s;,]+/, "");
  }
  return calls.length > 0 ? calls : undefined;
}

/** The place after the object that a text begins with. */
function endOfObject(text: string): number | undefined {
  if (!text.startsWith("{")) return undefined;
  let depth = 0;
  let isText = false;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (isText) {
      if (character === "\\") i++;
      else if (character === '"') isText = false;
    } else if (character === '"') isText = true;
    else if (character === "{") depth++;
    else if (character === "}" && --depth === 0) return i + 1;
  }
  return undefined;
}

/** Calls in tags; undefined unless all of it is calls. The last tag may be left open. */
function tagged(text: string, tools: readonly Tool[]): readonly ToolCall[] | undefined {
  const calls: ToolCall[] = [];
  let rest = text.trim();
  while (rest !== "") {
    const found =
      /^<tool_call>\s*([\s\S]*?)\s*(?:<\/tool_call>\s*|$)/.exec(rest) ??
      /^(<function=[\s\S]*?<\/function>)\s*/.exec(rest);
    const inner = found?.[1];
    const call =
      inner === undefined
        ? undefined
        : inner.startsWith("<function=")
          ? functionCall(inner, tools)
          : callOf(inner, tools);
    if (!found || !call) return undefined;
    calls.push(call);
    rest = rest.slice(found[0].length);
  }
  return calls.length > 0 ? calls : undefined;
}

/** `{"name": …, "arguments": …}`, or with `parameters`. */
function callOf(text: string, tools: readonly Tool[]): ToolCall | undefined {
  const call = parsed(text);
  if (!isObject(call) || !tools.some(({ name }) => name === call.name)) return undefined;
  const given = call.arguments ?? call.parameters ?? {};
  const values = typeof given === "string" ? parsed(given) : given;
  return isObject(values) ? { name: call.name as string, arguments: JSON.stringify(values) } : undefined;
}

/** `<function=f>{…}</function>`, or with a `<parameter=a>` for each argument. */
function functionCall(text: string, tools: readonly Tool[]): ToolCall | undefined {
  const [, name, body = ""] = /^<function=([^>\s]+)>([\s\S]*?)(?:<\/function>|$)/.exec(text) ?? [];
  const tool = tools.find((each) => each.name === name);
  if (!tool) return undefined;
  if (body.trim().startsWith("{")) {
    const values = parsed(body.trim());
    return isObject(values) ? { name: tool.name, arguments: JSON.stringify(values) } : undefined;
  }
  const properties = isObject(tool.parameters.properties) ? tool.parameters.properties : {};
  const values = new Map<string, unknown>();
  for (const [, key = "", written = ""] of body.matchAll(/<parameter=([^>\s]+)>\n?([\s\S]*?)\n?(?:<\/parameter>|$)/g)) {
    const schema = Object.hasOwn(properties, key) ? properties[key] : undefined;
    const isText = isObject(schema) && schema.type === "string";
    values.set(key, isText ? written : (parsed(written) ?? written));
  }
  return { name: tool.name, arguments: JSON.stringify(Object.fromEntries(values)) };
}

/** The value of a JSON text; undefined if it is none, or one too deep to be printed: what a model wrote need not be one. */
function parsed(text: string): unknown {
  if (nesting(text, MAX_NESTING) > MAX_NESTING) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
