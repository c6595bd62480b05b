/** The last step of every fit: its bundle gets checks. */
import { SluiceError } from "../errors.ts";
import type { Bundle } from "../interventions/bundle-types.ts";
import type { Model } from "../model/model.ts";
import { sealBundle } from "../model/seal-bundle.ts";

/**
 * A fitted bundle with checks. If this device cannot run it at its own strengths, it is given as it is, with a notice: what was
 * fitted is worth keeping.
 * @throws SluiceError `aborted`
 */
export async function sealed(model: Model, bundle: Bundle, signal: AbortSignal | undefined): Promise<Bundle> {
  try {
    return await sealBundle(model, bundle, signal ? { signal } : {});
  } catch (error) {
    if (!(error instanceof SluiceError) || (error.code !== "non_finite" && error.code !== "device_limit")) throw error;
    model.internals.onNotice(`The bundle has no checks: ${error.message}`);
    return bundle;
  }
}
