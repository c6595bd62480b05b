/** Printing a generation as it comes. */
import type { GeneratedToken } from "../../index.ts";
import type { CommandContext, RunningGeneration } from "../context.ts";

/**
 * Writes what `show` makes of each token, and ends the line. Written text stays if the generation fails or is
 * interrupted, and later text begins a new line.
 */
export async function printStream(
  generation: RunningGeneration,
  { progress, stdout, note }: CommandContext,
  show: (token: GeneratedToken) => string,
): Promise<void> {
  const tokens = generation[Symbol.asyncIterator]();
  try {
    let next = await progress.during("reading the prompt", tokens.next());
    while (!next.done) {
      stdout.write(show(next.value));
      next = await tokens.next();
    }
  } catch (error) {
    stdout.endLine();
    throw error;
  }
  stdout.write("\n");
  const { finish } = await generation.result();
  if (finish === "context") note("stopped because the context is full");
}
