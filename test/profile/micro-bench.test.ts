/** Where microkernels run: the data of fast devices, on any device. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { PipelineCache } from "../../src/execution/pipelines.ts";
import { openGpu } from "../../src/gpu/open.ts";
import { MicroBench } from "../../src/profile/micro-bench.ts";
import { type Microkernel, microkernels } from "../../src/profile/microkernels.ts";
import { READ_BYTES, type Sizes } from "../../src/profile/sizing.ts";

const sizes: Sizes = { flops: 1e7, bytes: READ_BYTES, buffers: 2, wide: true };

test("more data takes the place of the first, is read in turns, and goes with the rest", async () => {
  const gpu = await openGpu({ limits: "default" });
  try {
    const before = gpu.bytesInUse;
    const bench = new MicroBench(gpu, new PipelineCache(gpu));
    const little = gpu.bytesInUse;
    assert.equal(await bench.hold(sizes), sizes);
    assert.is(gpu.bytesInUse, little + READ_BYTES);
    const reader = microkernels(1e7, READ_BYTES / 96, true).find(({ ceiling }) => ceiling === "read");
    // So little to read that it is repeated.
    assert.ok((await bench.rate(reader as Microkernel, 1)) > 0);
    bench.dispose();
    assert.is(gpu.bytesInUse, before);
  } finally {
    gpu.destroy();
  }
});

test("without memory for more data, the small data serves; other failures are reported", async () => {
  const gpu = await openGpu({ limits: "default" });
  try {
    const bench = new MicroBench(gpu, new PipelineCache(gpu));
    const little = gpu.bytesInUse;
    const check = gpu.checkAllocations.bind(gpu);
    for (const code of ["device_limit", "gpu"] as const) {
      const failure = new SluiceError(code, "imagined");
      let calls = 0;
      gpu.checkAllocations = async () => {
        await check();
        if (++calls === 2) throw failure;
      };
      const held = await bench.hold(sizes).catch((error: unknown) => error);
      if (code === "gpu") assert.is(held, failure);
      else {
        assert.equal(held, { ...sizes, buffers: 1 });
        assert.is(gpu.bytesInUse, little);
      }
    }
    bench.dispose();
    assert.is(gpu.bytesInUse, 0);
  } finally {
    gpu.destroy();
  }
});

test.run();
