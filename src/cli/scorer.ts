/** A scorer of continuations from a user's module. */
import { access } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { SluiceError } from "../errors.ts";
import type { Scorer } from "../index.ts";
import { show } from "../show.ts";

/**
 * The default export of a module, `(text) => number | Promise<number>`, as a scorer.
 * @throws SluiceError `not_found`, or `bad_file` for a module that fails or exports no function; from the scorer,
 *   `bad_file` naming the text at which the function failed
 */
export async function loadScorer(path: string): Promise<Scorer> {
  try {
    await access(path);
  } catch (cause) {
    throw new SluiceError("not_found", `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  let module: { readonly default?: unknown };
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as { readonly default?: unknown };
  } catch (cause) {
    throw new SluiceError("bad_file", `${path} fails when it is imported: ${messageOf(cause)}`, { cause });
  }
  const score = module.default;
  if (typeof score !== "function") {
    throw new SluiceError("bad_file", `${path} has no default export that is a function`, {
      hint: "Write: export default (text) => …a number…",
    });
  }
  return async ({ text }) => {
    if (text === null) {
      throw new SluiceError("bad_tokens", "This model's folder has no tokenizer, so there is no text to score", {
        hint: "Judge with --positive and --negative, whose classifier reads ids, or add tokenizer.json.",
      });
    }
    try {
      return (await score(text)) as number;
    } catch (cause) {
      throw new SluiceError("bad_file", `${path} fails at ${show(text)}: ${messageOf(cause)}`, { cause });
    }
  };
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
