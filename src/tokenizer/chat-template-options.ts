/** Checks the arguments of a chat template. */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import { isObject } from "./json.ts";
import type { ChatMessage, ChatTemplateOptions } from "./tokenizer.ts";

/** The options with all defaults. */
export interface ChatRequest {
  readonly addGenerationPrompt: boolean;
  /** The field of the last message that is continued. */
  readonly continueFinalMessage: string | null;
  readonly tools: unknown;
  readonly documents: unknown;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly template: string | undefined;
  readonly now: (() => Date) | undefined;
}

/** transformers' names for options. */
const OTHER_NAMES: Readonly<Record<string, keyof ChatTemplateOptions>> = {
  add_generation_prompt: "addGenerationPrompt",
  continue_final_message: "continueFinalMessage",
  chat_template: "template",
};
const OPTIONS = new Set([
  "addGenerationPrompt",
  "continueFinalMessage",
  "tools",
  "documents",
  "variables",
  "template",
  "now",
]);

export function checkMessages(messages: unknown): asserts messages is readonly ChatMessage[] {
  if (!Array.isArray(messages)) refuse(`messages is ${show(messages)}; it must be a list of messages`);
  if (messages.length === 0) refuse("messages is empty; a conversation has at least one message");
  for (const [i, message] of (messages as readonly unknown[]).entries()) {
    if (!isObject(message)) refuse(`messages[${i}] is ${show(message)}; it must be an object with role and content`);
  }
}

/**
 * Fills in the options. Other names, if they have no capitals as ours do, are variables of the template, as
 * in transformers.
 */
export function checkChatOptions(given: ChatTemplateOptions): ChatRequest {
  if (!isObject(given)) refuse(`the options are ${show(given)}; they must be an object`);
  const options: Record<string, unknown> = {};
  const loose: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const known = Object.hasOwn(OTHER_NAMES, name) ? (OTHER_NAMES[name] as string) : name;
    if (OPTIONS.has(known)) options[known] = value;
    else if (/^[a-z_][a-z0-9_]*$/.test(name)) loose[name] = value;
    else refuse(`${show(name)} is not an option of a chat template`, `There are: ${[...OPTIONS].join(", ")}.`);
  }
  const variables = { ...loose, ...checkVariables(options.variables) };
  const addGenerationPrompt = checkBoolean("addGenerationPrompt", options.addGenerationPrompt);
  const field = checkField(options.continueFinalMessage);
  if (field !== null && addGenerationPrompt) {
    refuse(
      "continueFinalMessage and addGenerationPrompt exclude each other",
      "The first continues the last message, the second begins a new one.",
    );
  }
  const { template, now } = options;
  if (template !== undefined && typeof template !== "string")
    refuse(`template is ${show(template)}; it must be a text`);
  if (now !== undefined && typeof now !== "function") refuse(`now is ${show(now)}; it must be a function`);
  return {
    addGenerationPrompt,
    continueFinalMessage: field,
    tools: checkList("tools", options.tools ?? variables.tools),
    documents: checkList("documents", options.documents ?? variables.documents),
    variables,
    template: template as string | undefined,
    now: now as (() => Date) | undefined,
  };
}

function checkVariables(variables: unknown): Readonly<Record<string, unknown>> {
  if (variables === undefined) return {};
  const entries: unknown = variables instanceof Map ? Object.fromEntries(variables) : variables;
  if (!isObject(entries)) refuse(`variables is ${show(variables)}; it must be an object`);
  for (const name of ["messages", "add_generation_prompt"]) {
    if (Object.hasOwn(entries, name)) refuse(`variables.${name} cannot be set: it is a separate argument`);
  }
  return entries;
}

function checkBoolean(name: string, value: unknown): boolean {
  if (value === undefined) return false;
  if (typeof value !== "boolean") refuse(`${name} is ${show(value)}; it must be true or false`);
  return value;
}

function checkField(value: unknown): string | null {
  if (value === undefined || value === false) return null;
  if (value === true) return "content";
  if (typeof value !== "string" || value === "") {
    refuse(`continueFinalMessage is ${show(value)}; it must be true, false or a field's name`);
  }
  return value;
}

/** A list of objects; None in the template if there is none. */
function checkList(name: string, value: unknown): unknown {
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value)) refuse(`${name} is ${show(value)}; it must be a list of objects`);
  for (const [i, entry] of (value as readonly unknown[]).entries()) {
    if (!isObject(entry)) refuse(`${name}[${i}] is ${show(entry)}; it must be an object`);
  }
  return value;
}

function refuse(message: string, hint?: string): never {
  throw new SluiceError("usage", message, hint === undefined ? {} : { hint });
}
