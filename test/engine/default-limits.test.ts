/** A model of GPT-2 124M's shape, whose embedding exceeds a binding, on a device with WebGPU's guaranteed limits. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { assertClose } from "../support/closeness.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

test("a 124M-shaped float32 model runs under the default limits, and as without them", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-124m-"));
  try {
    const script = location("scripts/make-synthetic.mjs");
    // As many layers as fill more than one buffer.
    const shape = ["--shape", "gpt2-124m", "--layers", "5"];
    await promisify(execFile)(process.execPath, [script, folder, ...shape]);
    // Ids in both parts of the split embedding.
    const tokens = [1, 50_000, 25_000, 44_000];
    const split = await load(folder, { limits: "default" });
    assert.is(split.device.limits.maxStorageBufferBindingSize, 128 << 20);
    assert.is(split.device.limits.maxBufferSize, 256 << 20);
    assert.is(split.device.limits.maxStorageBuffersPerShaderStage, 8);
    assert.is(split.device.limits.maxComputeWorkgroupStorageSize, 16 << 10);
    assert.ok(split.plan().head.length > 1);
    const { data } = await split.logits(tokens, { last: true });
    assert.ok(data.every((logit) => Number.isFinite(logit)));
    assert.is((await split.generate(tokens, { maxNewTokens: 2 }).result()).tokens.length, 2);
    split.dispose();

    const whole = await load(folder);
    assertClose(data, (await whole.logits(tokens, { last: true })).data, "logits", 1e-6);
    whole.dispose();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test.run();
