/** The one GPU device that tests share within a process or page. */
import { create, globals } from "webgpu";

let shared: Promise<GPUDevice> | undefined;

/** A device with WebGPU's default limits on the software adapter. */
export function testDevice(): Promise<GPUDevice> {
  shared ??= open();
  return shared;
}

async function open(): Promise<GPUDevice> {
  Object.assign(globalThis, globals);
  process.env.VK_DRIVER_FILES = "/tmp/try/ss/vk_swiftshader_icd.json";
  try {
    process.dlopen({ exports: {} } as NodeModule, "/tmp/try/ss/libvulkan.so.1", 2 | 0x100 | 0x1000);
  } catch (error) {
    if (!String(error).includes("self-register")) throw error;
  }
  const gpu = create([]);
  Object.assign(globalThis, { keepGpu: gpu });
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error("no adapter");
  return adapter.requestDevice();
}
