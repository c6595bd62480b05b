/** A bundle for stories260K that pushes the stream of its second layer. */
import { type Bundle, readModelConfig, writeBundle } from "../../src/index.ts";
import { bundleOf, filled } from "../interventions/model-configs.ts";
import { location } from "../support/files.ts";

export async function pushBundle(): Promise<{ readonly bundle: Bundle; readonly bytes: Uint8Array }> {
  const config = await readModelConfig(location("weights/stories260K"));
  const stage = { id: "push", kind: "affine", method: "addition", site: "resid_post", layers: [1], alpha: 2 } as const;
  const bundle = bundleOf(config, [stage], { "push.1.direction": filled([config.hidden_size]) });
  return { bundle, bytes: writeBundle(bundle) };
}
