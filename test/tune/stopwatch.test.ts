/** The clocks that kernels are timed on, and hosts that report late. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { load, type SluiceError, tuneModel } from "../../src/index.ts";
import { openStopwatch, stepOfHost } from "../../src/tune/stopwatch.ts";
import { bareDevice } from "../support/bare-device.ts";
import { location } from "../support/files.ts";
import { MemoryStore } from "../support/memory-store.ts";

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves at the next of moments that are so far apart; timers may fire a little early. */
const tick = (ms: number): Promise<void> => pause(ms * Math.ceil((performance.now() + 2) / ms) - performance.now());

test("the step of a host is measured by empty waits", async () => {
  assert.is(await stepOfHost(async () => undefined), 1);
  const step = await stepOfHost(() => tick(40));
  assert.ok(step > 35 && step < 60, `${step} ms`);
});

test("no clock remains open if a trial fails", async () => {
  const model = await load(location("test/golden/gpt2-tiny"));
  try {
    const { gpu } = model.internals;
    const before = gpu.bytesInUse;
    const failure = new Error("no trial");
    const opened = openStopwatch(gpu, () => {
      throw failure;
    });
    if (gpu.profile.features.timestampQuery) assert.is(await opened.catch((error: unknown) => error), failure);
    else (await opened).dispose();
    assert.is(gpu.bytesInUse, before);
  } finally {
    model.dispose();
  }
});

test("a host that reports finished work in large steps does not tune, and disposing of its clock never throws", async () => {
  const device = await bareDevice();
  const model = await load(location("test/golden/gpt2-tiny"), { device });
  const { gpu } = model.internals;
  try {
    const fine = await openStopwatch(gpu, () => undefined);
    assert.is(fine.source, "host clock");
    assert.ok(fine.stepMs >= 1 && fine.stepMs <= 10, `${fine.stepMs} ms`);
    const idle = gpu.idle.bind(gpu);
    gpu.idle = async () => {
      await idle();
      await tick(25);
    };
    const before = gpu.bytesInUse;
    const failed = await tuneModel(model, { seconds: 60, store: new MemoryStore() }).catch((error: unknown) => error);
    assert.is((failed as SluiceError).code, "gpu");
    assert.match((failed as SluiceError).message, /cannot be timed .* only every \d+ ms/);
    assert.is(gpu.bytesInUse, before);
    model.dispose();
    fine.dispose();
  } finally {
    model.dispose();
    device.destroy();
  }
});

test.run();
