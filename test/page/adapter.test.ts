/** The browser that page tests run in offers what they count on. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { testDevice } from "../support/device.ts";

test("the adapter is SwiftShader", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  assert.is(adapter?.info.architecture, "swiftshader");
});

test("a device computes", async () => {
  const device = await testDevice();
  const module = device.createShaderModule({
    code: `@group(0) @binding(0) var<storage, read_write> x: array<u32>;
      @compute @workgroup_size(4) fn main(@builtin(local_invocation_index) i: u32) { x[i] = i * i; }`,
  });
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module } });
  const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
  const result = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const bindings = { layout: pipeline.getBindGroupLayout(0), entries: [{ binding: 0, resource: { buffer } }] };
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup(bindings));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, result, 0, 16);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  assert.equal([...new Uint32Array(result.getMappedRange())], [0, 1, 4, 9]);
  result.destroy();
  buffer.destroy();
});

test("files are served by ranges", async () => {
  const response = await fetch("/weights/stories260K/config.json", { headers: { range: "bytes=0-0" } });
  assert.is(response.status, 206);
  assert.is(await response.text(), "{");
});

test.run();
