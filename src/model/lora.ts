/** The adapters that a caller names, opened and ready to be merged. */
import type { Adapter } from "../adapters/lora.ts";
import type { Adapt } from "../architectures/open-model.ts";
import type { FileSource } from "../formats/source.ts";
import { openModelFiles } from "../hub/open-model.ts";
import type { LoadOptions, LoraChoice } from "./options.ts";

type Given = LoadOptions["lora"];

/** Opened adapters. */
export interface OpenedLora {
  readonly adapt: Adapt;
  /** As `FileSource.settle`. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens adapters. The caller closes them.
 * @returns undefined if none is given
 * @throws SluiceError errors of reading; `bad_config` and `bad_weights` for what is not a LoRA in PEFT's format
 */
export async function openLora(
  given: Given,
  { signal, onNotice, hub }: Pick<LoadOptions, "signal" | "onNotice" | "hub">,
): Promise<OpenedLora | undefined> {
  const choices = (typeof given === "string" ? [given] : (given ?? [])).map(named);
  if (choices.length === 0) return undefined;
  // Most models are loaded without: a page fetches these when they are needed.
  const { openAdapter } = await import("../adapters/lora.ts");
  const { withAdapters } = await import("../adapters/adapted-checkpoint.ts");
  const adapters: Adapter[] = [];
  const sources: FileSource[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(adapters.map(({ checkpoint }) => checkpoint.close()));
  };
  try {
    for (const { source, scale = 1 } of choices) {
      const files = await openModelFiles(source, { signal, onNotice, hub });
      sources.push(files);
      adapters.push(await openAdapter(files, scale, signal));
    }
  } catch (error) {
    await close();
    throw error;
  }
  const settle = async (): Promise<void> => {
    await Promise.all(sources.map((files) => files.settle?.(signal)));
  };
  return { adapt: (stored, config) => withAdapters(stored, adapters, config), settle, close };
}

function named(choice: Exclude<NonNullable<Given>, string>[number]): LoraChoice {
  const isSource = typeof choice === "string" || choice instanceof URL || "length" in choice;
  return isSource ? { source: choice } : choice;
}
