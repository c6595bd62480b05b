/** A conversation that ends within its last message, for the model to continue, cut as in transformers. */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import { isObject } from "./json.ts";
import type { ChatMessage } from "./tokenizer.ts";

/** A tag put after the message's text and searched for in the rendered text. The space shows whether the template trims. */
const TAG = "CONTINUE_FINAL_MESSAGE_TAG ";
/** Names of a model's reasoning; templates read one or the other. */
const REASONING = ["reasoning_content", "thinking", "reasoning"];

/**
 * @param field of the last message, usually `content`
 * @param template its text: it must mention the field
 * @param render renders messages
 */
export function continueFinalMessage(
  messages: readonly ChatMessage[],
  field: string,
  template: string,
  render: (messages: readonly ChatMessage[]) => string,
): string {
  const last = messages.at(-1) as ChatMessage;
  const value = Object.hasOwn(last, field) ? last[field] : undefined;
  if (value === undefined || value === null) refuse(`the last message has no ${show(field)}`);
  const fields = REASONING.includes(field) ? REASONING.filter((name) => last[name] === value) : [field];
  if (!fields.some((name) => template.includes(name))) refuse(`the chat template does not use ${show(field)}`);
  const { text, tagged } = tag(value);
  const rendered = render([
    ...messages.slice(0, -1),
    { ...last, ...Object.fromEntries(fields.map((n) => [n, tagged])) },
  ]);
  const at = rendered.lastIndexOf(TAG.trim());
  if (at < 0 || !rendered.includes(text.trim())) {
    refuse("the last message does not appear unchanged in the rendered conversation");
  }
  const before = rendered.slice(0, at);
  return rendered.startsWith(TAG, at) ? before : before.trimEnd();
}

/** The text to continue, and the field's value followed by the tag. */
function tag(value: unknown): { text: string; tagged: unknown } {
  const found = followedBy(value, TAG);
  if (found) return found;
  refuse(
    Array.isArray(value) ? "the last message has no part with text" : `the last message is ${show(value)}, not text`,
  );
}

/** The text of a message's content, or of its last part with text, and the content with an addition to it; null without text. */
export function followedBy(content: unknown, addition: string): { text: string; tagged: unknown } | null {
  if (typeof content === "string") return { text: content, tagged: content + addition };
  if (!Array.isArray(content)) return null;
  const parts = content as readonly unknown[];
  const place = parts.findLastIndex((part) => isObject(part) && typeof part.text === "string");
  const part = parts[place];
  if (!isObject(part)) return null;
  const text = part.text as string;
  return { text, tagged: parts.map((one, i) => (i === place ? { ...part, text: text + addition } : one)) };
}

function refuse(reason: string): never {
  throw new SluiceError("usage", `There is nothing to continue: ${reason}`, {
    hint: "Use addGenerationPrompt to begin a new answer.",
  });
}
