/** Opening the model that a command works with. */
import { SluiceError } from "../../errors.ts";
import type { Progress as LibraryProgress } from "../../index.ts";
import { argument } from "../command.ts";
import type { CommandContext, LoadedModel } from "../context.ts";
import { defined } from "../defined.ts";
import { name, oneOf, optional } from "../options.ts";

export const modelArgument = argument("a model's folder, or the web address of one");

/** Where the model runs, and on which plan. */
export const modelOptions = {
  adapter: optional("NAME", "The adapter to run on, by part of its name; `sluice info` lists them", name),
  plan: optional(
    "PLAN",
    "`default`: the fastest kernels for each number of rows; `reference`: one summation order for all, so that a " +
      "token's logits depend on its own context alone, bit for bit",
    oneOf("default", "reference"),
  ),
};

export interface ModelChoice {
  readonly model: string;
  readonly adapter: string | undefined;
  readonly plan: "default" | "reference" | undefined;
}

/** Loads the model, hands it to `use` with the time that loading took, and disposes of it whatever happens. */
export async function withModel<Result>(
  { model: source, adapter, plan }: ModelChoice,
  context: CommandContext,
  use: (model: LoadedModel, loadMs: number) => Promise<Result>,
): Promise<Result> {
  const { library, signal, progress } = context;
  const started = performance.now();
  const model = await library.load(source, {
    ...defined({ adapter, plan }),
    signal,
    onProgress: (step) => progress.update(...describeStep(step)),
    onNotice: (text) => context.note(text),
  });
  progress.clear();
  try {
    return await use(model, performance.now() - started);
  } finally {
    model.dispose();
  }
}

function describeStep({ phase, done, total }: LibraryProgress): [label: string, detail: string] {
  if (phase === "compile") return ["compiling shaders", `${done} of ${total}`];
  const percent = total > 0 ? Math.floor((100 * done) / total) : 100;
  return ["loading weights", `${percent} % of ${formatBytes(total)}`];
}

function formatBytes(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Ids of a text, or ids as they are. @throws SluiceError `bad_tokens` for text without a tokenizer */
export function toTokens(
  model: LoadedModel,
  document: string | readonly number[],
  options: { readonly addSpecialTokens: boolean },
): readonly number[] {
  if (typeof document !== "string") return document;
  if (model.tokenizer) return model.tokenizer.encode(document, options);
  throw new SluiceError("bad_tokens", "This model's folder holds no tokenizer, so it cannot read text", {
    hint: "Give token ids in place of the text, or add tokenizer.json.",
  });
}
