/** The sequence that a command works on, given as text or as ids. */
import { SluiceError } from "../../errors.ts";
import { optionalArgument } from "../command.ts";
import type { CommandContext, LoadedModel } from "../context.ts";
import type { Document } from "../documents.ts";
import { readAll } from "../input.ts";
import { optional, tokenIds } from "../options.ts";
import { tokenizerOf } from "./model.ts";

export const promptArgument = {
  ...optionalArgument("the text to run over, unless --tokens gives ids"),
  aliases: ["prompt"],
};

export const promptOptions = {
  tokens: optional("IDS", "Token ids in place of text, such as 1,2,3: exactly these, no BOS is added", tokenIds),
};

export interface PromptChoice {
  readonly prompt: string | undefined;
  readonly tokens: readonly number[] | undefined;
}

/** @throws SluiceError `usage` for both or neither */
export function givenPrompt(choice: PromptChoice): Document {
  const given = chosenPrompt(choice);
  if (given !== undefined) return given;
  throw new SluiceError("usage", "no tokens were given", {
    hint: "Give ids with --tokens 1,2,3, or a text in quotes after the model.",
  });
}

/**
 * The prompt given, else standard input without one final line end, which `echo` adds.
 * @throws SluiceError `usage` for both, or for neither if nothing is piped in
 */
export async function givenOrPipedPrompt(
  choice: PromptChoice,
  { stdin, signal, progress }: CommandContext,
): Promise<Document> {
  const given = chosenPrompt(choice);
  if (given !== undefined) return given;
  const hint = "Put the prompt in quotes after the model, give ids with --tokens 1,2,3, or pipe a text in.";
  if (stdin.isTTY) throw new SluiceError("usage", "no prompt was given", { hint });
  const piped = await progress.during("waiting for the prompt on standard input", readAll(stdin, signal));
  const prompt = piped.replace(/\r?\n$/, "");
  if (prompt === "") throw new SluiceError("usage", "no prompt was given, and standard input is empty", { hint });
  return prompt;
}

/** @returns undefined for neither. @throws SluiceError `usage` for both */
export function chosenPrompt({ prompt, tokens }: PromptChoice): Document | undefined {
  if (prompt !== undefined && tokens !== undefined) {
    throw new SluiceError("usage", "a prompt and --tokens were given: which one?", { hint: "Leave one of them out." });
  }
  return tokens ?? prompt;
}

/** Ids of a text with the special tokens that its tokenizer puts around it; ids as they are. */
export function encodePrompt(model: LoadedModel, prompt: Document): readonly number[] {
  return typeof prompt === "string" ? tokenizerOf(model).encode(prompt) : prompt;
}
