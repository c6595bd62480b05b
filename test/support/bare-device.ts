/** A device without optional features, such as a clock. In Node and in a page. */
import { openAdapter } from "../../src/gpu/node.ts";

/** The caller destroys it. */
export async function bareDevice(): Promise<GPUDevice> {
  const { adapter } = await openAdapter({});
  return adapter.requestDevice();
}
