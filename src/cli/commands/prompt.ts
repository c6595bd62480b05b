/** One sequence to work on, given as text or as ids. */
import { SluiceError } from "../../errors.ts";
import { optionalArgument } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { type Document, readPromptFromStdin } from "../documents.ts";
import { optional, tokenIds } from "../options.ts";

export const promptArgument = optionalArgument("the text; without it, and without --tokens, it is read from standard input");

export const promptOptions = {
  tokens: optional("IDS", "Token ids in place of text, such as 1,2,3: exactly these, no BOS is added", tokenIds),
};

export interface PromptChoice {
  readonly prompt: string | undefined;
  readonly tokens: readonly number[] | undefined;
}

/** @throws SluiceError `usage` for both, or for neither where nothing is piped in */
export async function choosePrompt({ prompt, tokens }: PromptChoice, context: CommandContext): Promise<Document> {
  if (prompt !== undefined && tokens !== undefined) {
    throw new SluiceError("usage", "a prompt and --tokens were given: which one?", { hint: "Leave one of them out." });
  }
  if (tokens !== undefined) return tokens;
  if (prompt !== undefined) return prompt;
  if (!context.stdin.isTTY) return readPromptFromStdin(context);
  throw new SluiceError("usage", "no prompt was given", {
    hint: 'Put it in quotes behind the model, give ids with --tokens 1,2,3, or pipe a text in.',
  });
}
