/** What the tuner reads in place of layers that a model has too few of. */

import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { load, tuneModel } from "../../src/index.ts";
import { standIns } from "../../src/tune/stand-ins.ts";
import { location } from "../support/files.ts";
import { MemoryStore } from "../support/memory-store.ts";
import { codeOf } from "../support/refusal-code.ts";
import { myTurns } from "../support/turns.ts";

const MB = 1 << 20;

test("places lie within their parts, at aligned offsets, apart, and beside the operation's own", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }).map((n) => n * 16),
      fc.array(
        fc.integer({ min: 1, max: 1000 }).map((n) => n * 16),
        { minLength: 1, maxLength: 20 },
      ),
      (bytes, parts) => {
        const places = standIns(bytes, new Set([0]), parts, 256);
        for (const { part, offset } of places) {
          assert.ok(part !== 0 && offset % 256 === 0 && offset + bytes <= (parts[part] as number));
        }
        assert.ok(places.every((a, i) => !places.some((b, j) => i < j && a.part === b.part && b.offset < a.offset)));
        assert.is(new Set(places.map(({ part, offset }) => `${part} ${offset}`)).size, places.length);
        assert.ok(places.length <= 255);
      },
    ),
    { numRuns: 50 },
  );
});

test("a model of a gigabyte has enough for 256 MB, spread out; a model with that much of its own needs none", () => {
  // GPT-2 124M's largest and smallest matrix, in more layers.
  const parts = Array.from({ length: 100 }, (_, i) => (i % 2 === 0 ? 1.125 * MB : 18 * MB));
  const own = new Set(parts.flatMap((_, i) => (i % 2 === 0 ? [i] : [])));
  const places = standIns(1.125 * MB, own, parts, 256);
  const read = (places.length + own.size) * 1.125 * MB;
  assert.ok(read >= 256 * MB && read < 260 * MB, `${read}`);
  assert.ok(new Set(places.map(({ part }) => part)).size > 40);
  assert.equal(standIns(18 * MB, new Set(parts.flatMap((_, i) => (i % 2 === 1 ? [i] : []))), parts, 256), []);
  assert.equal(standIns(64 * MB, new Set([0]), [64 * MB, 18 * MB], 256), []);
});

/** Decisions after which the tuner is stopped: a number of rounds, since a busy machine makes few in a given time. */
const DECISIONS = 3;

for (const software of myTurns([true, false])) {
  const title = software
    ? "on a software device, kernels are timed on their own weights"
    : "on other devices, on others' weights too";
  test(title, async () => {
    const model = await load(location("test/golden/gpt2-tiny"));
    try {
      const { gpu } = model.internals;
      Object.defineProperty(gpu, "profile", { value: { ...gpu.profile, software } });
      const weights = new Set<GPUBuffer>();
      let elsewhere = 0;
      const make = gpu.device.createBindGroup.bind(gpu.device);
      gpu.device.createBindGroup = (descriptor) => {
        for (const { binding, resource } of descriptor.entries) {
          const { buffer, offset = 0 } = resource as GPUBufferBinding;
          if (binding !== 1 || !/^blocks.*register/.test(descriptor.label ?? "")) continue;
          weights.add(buffer);
          if (offset > 0) elsewhere++;
        }
        return make(descriptor);
      };
      const enough = new AbortController();
      let decided = 0;
      const onProgress = (done: number): void => {
        decided = done;
        if (done === DECISIONS) enough.abort();
      };
      const tuning = tuneModel(model, { seconds: 600, signal: enough.signal, onProgress, store: new MemoryStore() });
      assert.is(await codeOf(() => tuning), "aborted");
      assert.is(decided, DECISIONS);
      assert.ok(weights.size > 0);
      assert.is(elsewhere > 0, !software, `${elsewhere} windows into ${weights.size} buffers`);
      gpu.checkAlive();
    } finally {
      model.dispose();
    }
  });
}

test.run();
