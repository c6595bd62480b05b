/** What every command that runs a model has in common. */
import { SluiceError } from "../errors.ts";
import type { Model } from "../index.ts";
import { argument } from "./command.ts";
import type { CommandContext } from "./context.ts";
import { name, oneOf, optional, required, tokenIds } from "./options.ts";

export const modelArgument = argument("folder in Hugging Face's layout, or the web address of one");

export const modelOptions = {
  adapter: optional(
    "NAME",
    "Adapter: auto, swiftshader, part of an adapter's name, or a Vulkan driver's JSON file",
    name,
  ),
  plan: optional(
    "PLAN",
    "default, or reference: one summation order per matrix, so that a token's bits depend on its context alone",
    oneOf("default", "reference"),
  ),
};

export const requiredTokens = required("IDS", "Token ids between commas, taken as they are: no BOS is added", tokenIds);

interface ModelChoice {
  readonly adapter: string | undefined;
  readonly plan: "default" | "reference" | undefined;
}

/** Loads a model, lets `use` work with it, and frees it whatever happens. */
export async function withModel<Result>(
  context: CommandContext,
  source: string,
  { adapter, plan }: ModelChoice,
  use: (model: Model) => Promise<Result>,
): Promise<Result> {
  const { library, progress, signal } = context;
  const model = await library.load(source, {
    ...(adapter !== undefined && { adapter }),
    ...(plan !== undefined && { plan }),
    signal,
    onNotice: (message) => context.note(message),
    onProgress: ({ phase, done, total }) => {
      if (phase === "upload") progress.update("loading weights", `${Math.floor((100 * done) / total)} %`);
      else progress.update("compiling kernels", `${done} of ${total}`);
    },
  });
  try {
    return await use(model);
  } finally {
    progress.clear();
    model.dispose();
  }
}

/** Ids of a text for this model. @throws SluiceError `bad_tokens` when the model has no tokenizer */
export function tokenizerOf(model: Model): NonNullable<Model["tokenizer"]> {
  if (model.tokenizer) return model.tokenizer;
  throw new SluiceError("bad_tokens", "This model's folder holds no tokenizer, so it cannot read text", {
    hint: "Give token ids instead.",
  });
}
