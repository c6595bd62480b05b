/** The GPU device that tests of a process share. In a page: test/page/support/device.ts. */
import { openGpu } from "../../src/gpu/open.ts";

let shared: Promise<GPUDevice> | undefined;

/** A device with WebGPU's default limits. */
export function testDevice(): Promise<GPUDevice> {
  shared ??= openGpu({ limits: "default" }).then(({ device }) => device);
  return shared;
}
