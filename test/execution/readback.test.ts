/** Reading back gives the bytes, through few buffers, or an error. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Readback, ReadbackPool } from "../../src/execution/readback.ts";
import { type Gpu, openGpu } from "../../src/gpu/open.ts";
import { refusal } from "../formats/refusal.ts";
import { testDevice } from "../support/device.ts";

/** A buffer of the words 0, 1, 2, … */
function countingBuffer(gpu: Gpu, words: number): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffer = gpu.createBuffer("counting", words * 4, usage);
  gpu.device.queue.writeBuffer(
    buffer,
    0,
    Uint32Array.from({ length: words }, (_, i) => i),
  );
  return buffer;
}

function copy(
  gpu: Gpu,
  pool: ReadbackPool,
  source: GPUBuffer,
  ranges: readonly (readonly [number, number])[],
): Readback[] {
  const encoder = gpu.device.createCommandEncoder();
  const readbacks = ranges.map(([first, count]) => pool.copy(encoder, source, first * 4, count * 4));
  gpu.device.queue.submit([encoder.finish()]);
  return readbacks;
}

test("ranges come back as they are in the buffer", async () => {
  const gpu = await openGpu({ device: await testDevice() });
  const pool = new ReadbackPool(gpu);
  const source = countingBuffer(gpu, 1000);
  const readbacks = copy(gpu, pool, source, [
    [0, 1],
    [37, 64],
    [10, 65],
    [0, 1000],
  ]);
  const [one, some, more, all] = await Promise.all(readbacks.map((readback) => readback.bytes()));
  assert.equal([...new Uint32Array(one as ArrayBuffer)], [0]);
  assert.equal(
    [...new Uint32Array(some as ArrayBuffer)],
    Array.from({ length: 64 }, (_, i) => 37 + i),
  );
  assert.is(new Uint32Array(more as ArrayBuffer)[64], 74);
  assert.is((all as ArrayBuffer).byteLength, 4000);
  gpu.destroy();
});

test("ranges of several buffers are read together", async () => {
  const gpu = await openGpu({ device: await testDevice() });
  const pool = new ReadbackPool(gpu);
  const [one, other] = [countingBuffer(gpu, 300), countingBuffer(gpu, 20)];
  const readAll = async () => {
    const encoder = gpu.device.createCommandEncoder();
    const copies = pool.copyAll(encoder, [
      { buffer: one, offset: 4 * 7, byteLength: 4 },
      { buffer: other, byteLength: 12 },
      { buffer: one, offset: 4 * 200, byteLength: 400 },
    ]);
    gpu.device.queue.submit([encoder.finish()]);
    return (await copies.bytes()).map((bytes) => [...new Uint32Array(bytes)]);
  };
  const [single, three, hundred] = await readAll();
  assert.equal([single, three], [[7], [0, 1, 2]]);
  assert.equal(
    hundred,
    Array.from({ length: 100 }, (_, i) => 200 + i),
  );
  assert.is(pool.stagingBuffers, 1);
  // Reads of fewer bytes find the buffer of more.
  const [readback] = copy(gpu, pool, one, [[3, 2]]);
  assert.equal([...new Uint32Array(await (readback as Readback).bytes())], [3, 4]);
  assert.is(pool.stagingBuffers, 1);
  assert.equal(await pool.copyAll(gpu.device.createCommandEncoder(), []).bytes(), []);
  gpu.destroy();
});

test("staging buffers are used again, so that steady use makes none", async () => {
  const gpu = await openGpu({ device: await testDevice() });
  const pool = new ReadbackPool(gpu);
  const source = countingBuffer(gpu, 512);
  const read = async () => {
    const readbacks = copy(gpu, pool, source, [
      [0, 100],
      [5, 100],
      [0, 300],
    ]);
    await Promise.all(readbacks.map((readback) => readback.bytes()));
  };
  await read();
  const { bytesInUse } = gpu;
  assert.is(pool.stagingBuffers, 3);
  for (let i = 0; i < 5; i++) await read();
  assert.is(pool.stagingBuffers, 3);
  assert.is(gpu.peakBytes, bytesInUse);
  pool.dispose();
  assert.is(gpu.bytesInUse, source.size);
  gpu.destroy();
});

test("a large read keeps no memory", async () => {
  const gpu = await openGpu({ device: await testDevice() });
  const pool = new ReadbackPool(gpu);
  const words = (17 << 20) / 4;
  const source = countingBuffer(gpu, words);
  const [readback] = copy(gpu, pool, source, [[0, words]]);
  const bytes = new Uint32Array(await (readback as Readback).bytes());
  assert.is(bytes[words - 1], words - 1);
  assert.is(pool.stagingBuffers, 0);
  assert.is(gpu.bytesInUse, source.size);
  gpu.destroy();
});

test("a device that is lost before the read gives an error, not zeros", async () => {
  const gpu = await openGpu();
  const pool = new ReadbackPool(gpu);
  const source = countingBuffer(gpu, 16);
  const [before] = copy(gpu, pool, source, [[0, 16]]);
  const pending = (before as Readback).bytes();
  gpu.device.destroy();
  // It may still be served if it was done already; what must not come is a buffer of zeros.
  const bytes = await pending.catch((error: unknown) => error);
  if (bytes instanceof ArrayBuffer) assert.is(new Uint32Array(bytes)[15], 15);
  else assert.is((bytes as { code: string }).code, "device_lost");
  await gpu.lost;
  await refusal("device_lost", () => copy(gpu, pool, source, [[0, 16]]));
  gpu.destroy();
});

test("a read that is cut off by the end of the pool fails", async () => {
  const gpu = await openGpu({ device: await testDevice() });
  const pool = new ReadbackPool(gpu);
  const source = countingBuffer(gpu, 16);
  const [readback] = copy(gpu, pool, source, [[0, 16]]);
  pool.dispose();
  await refusal("gpu", () => (readback as Readback).bytes(), "Reading back counting failed");
  gpu.destroy();
});

test.run();
