/** Which token ends an answer in a conversation. */
import type { ChatTemplateOptions, Tokenizer } from "./tokenizer.ts";

/**
 * The special token that the chat template puts after an answer: many folders name only an end of text, although the
 * template ends an answer with a token such as `<|im_end|>`. Undefined if it puts none.
 * @throws SluiceError as `applyChatTemplate`
 */
export function tokenAfterAnswer(
  tokenizer: Tokenizer,
  options: Pick<ChatTemplateOptions, "template"> = {},
): number | undefined {
  const mark = "answer-0f3c";
  const text = tokenizer.applyChatTemplate(
    [
      { role: "user", content: "?" },
      { role: "assistant", content: mark },
    ],
    options,
  );
  const at = text.lastIndexOf(mark);
  if (at < 0) return undefined;
  const [id] = tokenizer.encode(text.slice(at + mark.length).trimStart(), { addSpecialTokens: false });
  if (id === undefined) return undefined;
  const isSpecial =
    tokenizer.decode([id], { skipSpecialTokens: true }) === "" &&
    tokenizer.decode([id], { skipSpecialTokens: false }) !== "";
  return isSpecial ? id : undefined;
}
