/** Models on a device that the tests of a process or page share, where each kernel compiles once. */
import { openGpu } from "../../src/gpu/open.ts";
import { type LoadOptions, load as loadOnItsOwn, type Model, type ModelSource } from "../../src/index.ts";
import { rememberPipelines } from "./remember-pipelines.ts";

let shared: Promise<GPUDevice> | undefined;

/** A device like the one that `load` opens: with as high limits as the adapter has. It is never destroyed. */
export function sharedDevice(): Promise<GPUDevice> {
  shared ??= openGpu().then(({ device }) => rememberPipelines(device));
  return shared;
}

/** `load`, on the shared device unless the options are about devices. */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  const { adapter, device, limits } = options;
  if (adapter !== undefined || device !== undefined || limits !== undefined) return loadOnItsOwn(source, options);
  return loadOnItsOwn(source, { ...options, device: await sharedDevice() });
}
