/** Where a fit from two classes of sentences keeps what it measures, beside its result. */
import { engineVersion } from "../../kernels/shaders.gen.ts";
import type { CommandContext } from "../context.ts";
import { FileStore } from "../response-store.ts";
import type { LabelledDocuments } from "../sentences.ts";

export interface FittedInputs {
  readonly model: string;
  readonly out: string;
  readonly maxTokens: number | undefined;
  readonly quantize: string | undefined;
  readonly adapter: string | undefined;
}

/**
 * Opens OUT.partial, and says so where an earlier run left rows in it.
 * @param weights their digest; none of a model at an address
 * @param own what else the measured values depend on
 * @throws SluiceError `usage` for a file that other inputs have left, `bad_file` for something else
 */
export async function openStore(
  { model, out, maxTokens, quantize, adapter }: FittedInputs,
  weights: string | undefined,
  documents: LabelledDocuments,
  own: Readonly<Record<string, unknown>>,
  context: CommandContext,
): Promise<FileStore> {
  const store = await FileStore.open(out, {
    // Weights are known by their digest, since a folder may hold others tomorrow; at an address by that.
    model: weights ?? model,
    engine: engineVersion,
    maxTokens,
    // Quantised weights and another device give other bits; mixed with what was kept, equal contexts would not tie.
    quantize,
    adapter,
    documents,
    ...own,
  });
  if (store.isBegun) context.note(`going on from ${store.path}`);
  return store;
}
