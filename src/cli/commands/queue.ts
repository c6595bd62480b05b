/** `--queue`: shards of a command's work go to workers on other machines. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { LoraChoice, ShardRunner } from "../../index.ts";
import { PASSWORD_VARIABLE, type QueueAddress, queueAddress } from "../../queue/address.ts";
import type { JobModel } from "../../queue/messages.ts";
import type { CommandContext } from "../context.ts";
import { defined } from "../defined.ts";
import { optional, type Parser } from "../options.ts";
import type { FileStore } from "../response-store.ts";
import { fittedWeights, type ModelChoice } from "./model.ts";

export const addressOf: Parser<QueueAddress> = (given) => queueAddress(given, process.env[PASSWORD_VARIABLE]);

export const queueOption = optional(
  "ADDRESS",
  "Have workers compute (sluice worker) that share this Redis or Valkey: redis://HOST:PORT. The result is the same",
  addressOf,
);

/**
 * Calls `use` with a runner whose shards go to the queue, or with none without one; cleans up afterwards.
 * @param known the digest of the model's weights, if it is known already; the store that keeps what workers measure
 */
export async function withRunner<Result>(
  choice: ModelChoice & { readonly queue: QueueAddress | undefined },
  context: CommandContext,
  use: (runner: { readonly runner?: ShardRunner }) => Promise<Result>,
  { weights, store }: { readonly weights?: string | undefined; readonly store?: FileStore } = {},
): Promise<Result> {
  const { queue: address, model, plan, quantize, lora } = choice;
  if (address === undefined) return use({});
  const digest = weights ?? (await fittedWeights(choice, context));
  const about: JobModel = {
    source: wholePath(model),
    ...defined({ weights: digest, plan, quantize }),
    ...(lora && { lora: lora.map(withWholePath) }),
  };
  const runner = await context.library.openQueue({
    address,
    model: about,
    onNote: (text) => context.note(text),
    ...(store && { onComputer: (by) => store.measuredBy(by) }),
  });
  try {
    return await use({ runner });
  } finally {
    await runner.close();
  }
}

/** A path that another process finds, or the name of a model as it is. */
function wholePath(source: string): string {
  return existsSync(source) ? resolve(source) : source;
}

function withWholePath({ source, ...rest }: LoraChoice): LoraChoice {
  return { source: typeof source === "string" ? wholePath(source) : source, ...rest };
}
