/** Buffers are counted, errors surface once, and a lost device reports that every time. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Gpu, openGpu } from "../../src/gpu/open.ts";
import { readProfile } from "../../src/gpu/profile.ts";
import { refusal } from "../formats/refusal.ts";
import { testDevice } from "../support/device.ts";

async function openOn(device: Promise<GPUDevice>): Promise<Gpu> {
  return openGpu({ device: await device });
}

test("buffers in use are counted, and their peak", async () => {
  const gpu = await openOn(testDevice());
  const first = gpu.createBuffer("first", 1024, GPUBufferUsage.STORAGE);
  const second = gpu.createBuffer("second", 256, GPUBufferUsage.UNIFORM);
  assert.is(gpu.bytesInUse, 1280);
  gpu.release(first);
  gpu.release(first);
  assert.is(gpu.bytesInUse, 256);
  gpu.release(second);
  assert.is(gpu.bytesInUse, 0);
  assert.is(gpu.peakBytes, 1280);
  await gpu.checkAllocations();
  gpu.destroy();
});

test("a buffer beyond a limit is refused before the device is asked", async () => {
  const gpu = await openOn(testDevice());
  const { maxBufferSize, maxStorageBufferBindingSize } = gpu.profile.limits;
  await refusal(
    "device_limit",
    () => gpu.createBuffer("wte", maxStorageBufferBindingSize + 16, GPUBufferUsage.STORAGE),
    "wte",
    "maxStorageBufferBindingSize is 134,217,728",
    "needed by 16",
  );
  await refusal(
    "device_limit",
    () => gpu.createBuffer("big", maxBufferSize + 4, GPUBufferUsage.COPY_DST),
    "maxBufferSize is 268,435,456",
  );
  assert.is(gpu.bytesInUse, 0);
  await gpu.idle();
  gpu.destroy();
});

test("limits and features are as requested", async () => {
  const plain = await openGpu({ limits: "default" });
  assert.is(plain.profile.limits.maxStorageBuffersPerShaderStage, 8);
  assert.is(plain.profile.limits.maxBufferSize, 256 << 20);
  plain.destroy();
  const full = await openGpu();
  assert.ok(full.profile.limits.maxBufferSize >= 256 << 20);
  assert.is(full.profile.features.timestampQuery, full.device.features.has("timestamp-query"));
  full.destroy();
});

test("an error that the device reports on its own is thrown by the next check, once", async () => {
  // On a device of its own: Firefox reports one error a device.
  const gpu = await openGpu();
  gpu.device.createBuffer({ label: "wrong", size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
  const message = await refusal("gpu", () => gpu.idle(), "reported an error");
  assert.match(message, /map_?read/i);
  gpu.checkAlive();
  gpu.destroy();
});

test("an injected device outlives the Gpu, and its buffers do not", async () => {
  const device = await testDevice();
  const gpu = await openGpu({ device });
  const buffer = gpu.createBuffer("readable", 16, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  gpu.destroy();
  await refusal("usage", () => gpu.checkAlive(), "released");
  assert.is(gpu.bytesInUse, 0);
  device.pushErrorScope("validation");
  device.queue.writeBuffer(buffer, 0, new Uint32Array(4));
  assert.match((await device.popErrorScope())?.message ?? "", /destroyed/);
  const other = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  await other.mapAsync(GPUMapMode.READ);
  other.destroy();
});

test("every use of a lost device says that it is lost and what to do", async () => {
  const gpu = await openGpu();
  gpu.device.destroy();
  const error = await gpu.lost;
  assert.is(error.code, "device_lost");
  const uses: readonly (() => unknown)[] = [
    () => gpu.checkAlive(),
    () => gpu.createBuffer("late", 16, GPUBufferUsage.STORAGE),
    () => gpu.checkAllocations(),
    () => gpu.idle(),
  ];
  for (const use of [...uses, ...uses]) await refusal("device_lost", use, gpu.profile.name, "Load the model again");
  gpu.destroy();
});

test("a loss during a wait is reported as a loss", async () => {
  const gpu = await openGpu();
  gpu.device.destroy();
  await refusal("device_lost", async () => {
    throw await gpu.failure("Waiting", new Error("AbortError"));
  });
  gpu.destroy();
});

test("an aborted signal opens nothing", async () => {
  await refusal("aborted", () => openGpu({ signal: AbortSignal.abort() }));
});

test("memory that the device does not have is reported with the name of the buffer", async () => {
  const device = await testDevice();
  const gpu = new Gpu(deviceWithoutMemory(device, 1000), readProfile(device), { ownsDevice: true });
  gpu.createBuffer("small", 16, GPUBufferUsage.STORAGE);
  gpu.createBuffer("layer 7", 4096, GPUBufferUsage.STORAGE);
  await refusal("device_limit", () => gpu.checkAllocations(), "no memory for buffer layer 7", "smaller model");
  await gpu.checkAllocations();
  // Where nobody asks, the next check of anything else tells.
  gpu.createBuffer("layer 8", 4096, GPUBufferUsage.STORAGE);
  await new Promise((resolve) => setTimeout(resolve, 0));
  await refusal("device_limit", () => gpu.checkAlive(), "layer 8");
  gpu.destroy();
});

/** A device that runs out of memory for buffers beyond `most` bytes. */
function deviceWithoutMemory(real: GPUDevice, most: number): GPUDevice {
  let largest = 0;
  const fake: Partial<GPUDevice> = {
    limits: real.limits,
    lost: new Promise(() => undefined),
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
    pushErrorScope: () => {
      largest = 0;
      return undefined;
    },
    createBuffer: ({ size }) => {
      largest = Math.max(largest, size);
      return { size, destroy: () => undefined } as unknown as GPUBuffer;
    },
    popErrorScope: () => Promise.resolve(largest > most ? ({ message: "out of memory" } as GPUError) : null),
    destroy: () => undefined,
  };
  return fake as GPUDevice;
}

test.run();
