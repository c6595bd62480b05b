/** The GPU device that tests of a process share. In a page: test/page/support/device.ts. */
import { openGpu } from "../../src/gpu/open.ts";
import { rememberPipelines } from "./remember-pipelines.ts";

let shared: Promise<GPUDevice> | undefined;

/** A device with WebGPU's default limits. */
export function testDevice(): Promise<GPUDevice> {
  shared ??= openGpu({ limits: "default" }).then(({ device }) => rememberPipelines(device));
  return shared;
}
