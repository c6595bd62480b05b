/** Checks of bundles that commands write: measured if the model can be run here, and otherwise a note how to add them. */
import { SluiceError } from "../../errors.ts";
import type { Bundle } from "../../interventions/bundle-types.ts";
import type { CommandContext } from "../context.ts";
import { isAddress, type ModelChoice, withModel } from "./model.ts";

/**
 * The bundle with checks. Nothing is downloaded for them, and a model that cannot be run here is no error: what the command
 * was asked for is the bundle.
 * @param out names the bundle's file in notes
 */
export async function withChecks(
  bundle: Bundle,
  choice: Pick<ModelChoice, "model"> & Partial<Pick<ModelChoice, "adapter">>,
  out: string,
  context: CommandContext,
): Promise<Bundle> {
  const { library, signal, progress, note } = context;
  const later = `sluice bundle seal ${out} ${choice.model} adds them`;
  if (isAddress(choice.model)) {
    note(`${out} has no checks, since the model would have to be downloaded for them; ${later}`);
    return bundle;
  }
  const { model, adapter } = choice;
  try {
    return await withModel({ model, adapter, plan: undefined, isOffline: true }, context, (loaded) =>
      progress.during("measuring checks", library.sealBundle(loaded, bundle, { signal })),
    );
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code === "aborted") throw error;
    note(`${out} has no checks: ${error.message}; ${later}`);
    return bundle;
  }
}
