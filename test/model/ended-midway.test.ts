/**
 * Models and attributions that are disposed of in the middle of their work, on a device that others use: the work ends with
 * an error of `usage`, and the device is asked for nothing that is gone, of which it would tell its owner.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Model, openAttribution } from "../../src/index.ts";
import { location } from "../support/files.ts";
import { load, sharedDevice } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { watchedDevice } from "../support/watched-device.ts";

interface Disposable {
  dispose(): void;
}

const TEXTS = Array.from({ length: 8 }, (_, i) => Array.from({ length: 30 }, (_, j) => (i * 3 + j) % 90));
const PROMPTS = [
  [1, 2, 3, 4, 5, 6, 7],
  [9, 8, 7],
  [4, 4],
];

/** What is under way; each hands over what can be disposed of. */
const works: Readonly<Record<string, (model: Model, opened: (part: Disposable) => void) => Promise<unknown>>> = {
  logits: (model) => model.logits(PROMPTS[0] as number[]),
  generation: (model) => model.generate(PROMPTS[0] as number[], { maxNewTokens: 12 }).result(),
  // More requests than sequences: one still waits when the others fail.
  batch: async (model) => {
    const batch = await model.batch({ sequences: 2, context: 48 });
    try {
      const all = PROMPTS.map((prompt) => batch.generate(prompt, { maxNewTokens: 10 }).result());
      await Promise.allSettled(all);
      await Promise.all(all);
    } finally {
      batch.dispose();
    }
  },
  attribution: async (model, opened) => {
    const attribution = await openAttribution(model, TEXTS);
    opened(attribution);
    try {
      await attribution.run({});
    } finally {
      attribution.dispose();
    }
  },
};

/** Moments, as shares of the calls of the device that a work makes. */
const MOMENTS = [0.3, 0.9, 0.99];

async function endedMidway(name: string, what: "model" | "part"): Promise<void> {
  const work = works[name] as (typeof works)[string];
  const device = await sharedDevice();
  const complaints: string[] = [];
  const hear = (event: GPUUncapturedErrorEvent): void => {
    event.preventDefault();
    complaints.push(event.error.message);
  };
  device.addEventListener("uncapturederror", hear);
  const others = await load(location("test/golden/gpt2-tiny"));
  try {
    const right = (await others.generate([1, 2, 3], { maxNewTokens: 3 }).result()).tokens;
    let count = 0;
    const run = async (
      onCall: (number: number, model: Model, parts: readonly Disposable[]) => void,
    ): Promise<number> => {
      let calls = 0;
      const parts: Disposable[] = [];
      let model: Model | undefined;
      const watched = watchedDevice(device, { onCall: () => model && onCall(++calls, model, parts) });
      model = await load(location("test/golden/gpt2-tiny"), { device: watched });
      try {
        await work(model, (part) => parts.push(part));
        return calls;
      } finally {
        model.dispose();
      }
    };
    const calls = await run(() => undefined);
    for (const moment of MOMENTS) {
      const at = Math.ceil(calls * moment);
      // Between two calls of the device, as whatever else runs would do it.
      const ended = run((number, model, parts) => {
        if (number === at) queueMicrotask(() => (what === "model" ? model : parts[0])?.dispose());
      });
      const code = await codeOf(() => ended);
      if (code === "usage") count++;
      else assert.is(code, "none", `${name}, at call ${at} of ${calls}`);
      assert.equal((await others.generate([1, 2, 3], { maxNewTokens: 3 }).result()).tokens, right);
    }
    assert.ok(count > 0, "none ended early");
  } finally {
    others.dispose();
    await device.queue.onSubmittedWorkDone();
    device.removeEventListener("uncapturederror", hear);
  }
  assert.equal(complaints, []);
}

for (const name of Object.keys(works)) {
  test(`${name}: a model that ends in the middle asks the device for nothing that is gone`, () =>
    endedMidway(name, "model"));
}

test("attribution: one that ends in the middle says so, and others go on", () => endedMidway("attribution", "part"));

test.run();
