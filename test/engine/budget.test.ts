/** What decoding may cost the host and the GPU's memory. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { noStages } from "../../src/interventions/stage.ts";
import { testDevice } from "../support/device.ts";
import { location } from "../support/files.ts";
import { gpt2Small, imaginedPlan } from "../support/imagined-plan.ts";
import { load } from "../support/load.ts";
import { watchSubmits } from "../support/submits.ts";

const MIB = 2 ** 20;

test("a submit decodes four tokens at least, in one compute pass", async () => {
  const device = await testDevice();
  const model = await load(location("test/golden/gpt2-tiny"), { device });
  const session = await model.session({ context: 48 });
  const options = { maxNewTokens: 33, stopTokens: [] };
  // The first run compiles, and tells how long a step takes.
  await session.generate([1, 2, 3], options).result();
  const counts = { submits: 0, passes: 0 };
  const createCommandEncoder = device.createCommandEncoder;
  const unwatch = watchSubmits(device.queue, () => counts.submits++);
  Object.defineProperty(device, "createCommandEncoder", {
    configurable: true,
    value: () => {
      const encoder = createCommandEncoder.call(device);
      const begin = encoder.beginComputePass;
      Object.defineProperty(encoder, "beginComputePass", {
        value: (descriptor?: GPUComputePassDescriptor) => {
          counts.passes++;
          return begin.call(encoder, descriptor);
        },
      });
      return encoder;
    },
  });
  try {
    const { tokens } = await session.generate([4, 5, 6], options).result();
    assert.is(tokens.length, 33);
  } finally {
    unwatch();
    Reflect.deleteProperty(device, "createCommandEncoder");
  }
  // One for the prompt and its first token; 32 tokens are left.
  assert.ok(counts.submits <= 1 + 32 / 4, `${counts.submits} submits`);
  assert.is(counts.passes, counts.submits);
  session.dispose();
  model.dispose();
});

test("GPU memory stays within weights, cache and 64 MiB", async () => {
  const model = await load(location("weights/gpt2-stories"));
  const weights = model.gpuBytes;
  for (const [sequences, context] of [
    [1, 256],
    [8, 256],
  ] as const) {
    const opened = await model.openSequences({ sequences, context });
    const { plan } = opened;
    const cache = 2 * plan.layers * plan.slots * plan.cacheRowBytes;
    assert.is(cache, 2 * model.config.num_hidden_layers * sequences * context * model.config.hidden_size * 4);
    const rest = model.gpuBytes - weights - cache;
    assert.ok(rest <= Math.max(weights / 10, 64 * MIB), `${sequences} × ${context}: ${(rest / MIB).toFixed(1)} MiB`);
    opened.dispose();
    assert.is(model.gpuBytes, weights);
  }
  model.dispose();
});

test("of GPT-2 124M, what is neither weights nor cache stays within 64 MiB too", () => {
  for (const sequences of [1, 16]) {
    const { activations, captureBytes, seenWords, capacity } = imaginedPlan(gpt2Small, noStages, { sequences });
    const ids = sequences * (2 * capacity + 1 + seenWords) * 4;
    const rest = activations.reduce((sum, bytes) => sum + bytes, captureBytes + ids);
    assert.ok(rest <= 64 * MIB, `${sequences} sequences: ${(rest / MIB).toFixed(1)} MiB`);
  }
});

test.run();
