/** Where in a conversation's tokens the user's last message ends. */

import { SluiceError } from "../errors.ts";
import { followedBy } from "../tokenizer/continue-message.ts";
import type { ChatMessage } from "../tokenizer/tokenizer.ts";

/**
 * Characters without a meaning, put after the message: what follows them is what follows the message. Two, because a
 * byte of one may be a token of its own, and be the message's last one too.
 */
const MARKS = ["\ue000", "\ue001"];

/**
 * The number of tokens up to the last one of the user's last message. If a token holds both its end and what the template
 * puts after it, that is the one.
 * @param ids of the conversation
 * @param encode lays out a conversation as ids
 * @throws SluiceError `usage` if there is no such message, or the template leaves it out
 */
export function instructionEnd(
  conversation: readonly ChatMessage[],
  ids: readonly number[],
  encode: (conversation: readonly ChatMessage[]) => readonly number[],
): number {
  const at = conversation.findLastIndex(({ role }) => role === "user");
  const after = MARKS.map((mark) => {
    const marked = followedBy(conversation[at]?.content, mark);
    if (!marked || marked.text.trim() === "") throw missing("no message of the user has text");
    const message = { ...conversation[at], content: marked.tagged } as ChatMessage;
    return commonEnd(ids, encode(conversation.with(at, message)));
  });
  const end = ids.length - Math.min(...after);
  if (end > 0) return end;
  throw missing("the chat template leaves the user's message out");
}

/** How many of their last items two lists share. */
function commonEnd(a: readonly number[], b: readonly number[]): number {
  let count = 0;
  while (count < a.length && count < b.length && a[a.length - 1 - count] === b[b.length - 1 - count]) count++;
  return count;
}

function missing(reason: string): SluiceError {
  return new SluiceError("usage", `there is no instruction to read: ${reason}`, {
    hint: "Read another token, such as −1.",
    field: "token",
  });
}
