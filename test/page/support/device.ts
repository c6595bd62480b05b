/** The GPU device that the tests of a page share: test/support/device.ts for pages. */
import { rememberPipelines } from "../../support/remember-pipelines.ts";

let shared: Promise<GPUDevice> | undefined;

export const testDevice: typeof import("../../support/device.ts").testDevice = () => {
  shared ??= open();
  return shared;
};

async function open(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter)
    throw new Error(
      "The browser offers no WebGPU adapter: test/support/ says how chromium.ts and firefox.ts look for one",
    );
  // As in Node: what kernels can do without, and use where it is there.
  const requiredFeatures = (["subgroups"] as const).filter((name) => adapter.features.has(name));
  return rememberPipelines(await adapter.requestDevice({ requiredFeatures }));
}
