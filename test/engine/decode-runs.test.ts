/** Decoding one run ahead of what the host has read. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Session } from "../../src/index.ts";
import type { Composition } from "../../src/interventions/stage.ts";
import { testDevice } from "../support/device.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { pushStage } from "../support/stages.ts";
import { watchSubmits } from "../support/submits.ts";
import { sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

const PROMPT = [65, 7, 28, 64, 1, 66, 100, 2];

inTurn("the device has the next run before the host has read one, and none after the last", async () => {
  const device = await testDevice();
  const model = await load(location("test/golden/gpt2-tiny"), { device });
  const session = await model.session({ context: 48 });
  const options = { maxNewTokens: 40, stopTokens: [] };
  // The first generation compiles, and tells how long a step takes.
  await session.generate(PROMPT, options).result();
  let submits = 0;
  const unwatch = watchSubmits(device.queue, () => submits++);
  /** Submits when each token was seen. */
  const seen: number[] = [];
  try {
    for await (const _ of session.generate([...PROMPT.slice(1), 3], options)) seen.push(submits);
  } finally {
    unwatch();
  }
  assert.is(seen.length, 40);
  assert.is(seen[0], 1, "the prompt");
  // On a slow device a run takes more than one submit.
  assert.ok((seen[1] ?? 0) >= 3, "the first run and the one behind it");
  // Tokens of a run are seen while the next is under way; those of the last, with nothing after it.
  assert.is(seen.at(-1), submits);
  assert.ok(submits <= 1 + Math.ceil(39 / 4), `${submits} submits`);
  session.dispose();
  model.dispose();
});

/** A push along a direction, strong enough to turn what is drawn. */
const composition: Composition = {
  stages: [pushStage(Float32Array.from({ length: 48 }, (_, i) => 3 * Math.sin(1.7 * i)))],
  warnings: [],
};

inTurn("a change drops the run ahead: draws and the repetition penalty only know seen tokens", async () => {
  const plain = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
  const model = plain.withStages(composition);
  const options = { temperature: 0.9, repetitionPenalty: 1.6, seed: 11, stopTokens: [] };
  const generate = async (session: Session, between: (seen: number) => void) => {
    const generation = session.generate(PROMPT, { ...options, maxNewTokens: 30 });
    let seen = 0;
    for await (const _ of generation) between(++seen);
    return generation.result();
  };
  for (const cache of ["recompute", "continue"] as const) {
    const session = await model.session({ context: 40 });
    // So that a run is short enough to have another after it.
    await generate(session, () => undefined);
    const changed = await generate(session, (seen) => {
      if (seen === 2 || seen === 9) session.set("push", { alpha: -seen }, { cache });
    });
    assert.is(changed.changes.length, 2, cache);
    const last = changed.changes[1]?.first_token ?? 0;
    assert.ok(last >= 9 && last < 30, `${cache}: ${last}`);
    if (cache === "recompute") {
      const fresh = await model.session({ context: 40 });
      fresh.set("push", { alpha: -9 });
      const prompt = [...PROMPT, ...changed.tokens.slice(0, last)];
      const rest = await fresh.generate(prompt, { ...options, maxNewTokens: 30 - last }).result();
      assert.equal(changed.tokens.slice(last), rest.tokens);
      fresh.dispose();
    }
    assert.equal(session.tokens(), [...PROMPT, ...changed.tokens].slice(0, session.tokens().length));
    session.dispose();
  }
  plain.dispose();
});

inTurn("as sequences of a batch end, the others continue as if alone", async () => {
  const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
  const prompts = [PROMPT, PROMPT.slice(2), PROMPT.slice(4)];
  const alone = await Promise.all(
    prompts.map((prompt) => model.generate(prompt, { maxNewTokens: 36, stopTokens: [] }).result()),
  );
  // Each stops at an id of its own, in the middle of a run.
  const stops = new Set(alone.slice(0, 2).map(({ tokens }, i) => tokens[5 + 6 * i] as number));
  const options = { maxNewTokens: 36, stopTokens: [...stops] };
  const session = await model.session({ context: 48, sequences: 3 });
  for (let round = 0; round < 2; round++) {
    const batch = await session.generateBatch(prompts, options);
    for (const [i, { tokens }] of batch.entries()) {
      const whole = alone[i]?.tokens ?? [];
      const end = whole.findIndex((token) => stops.has(token));
      assert.equal(tokens, end < 0 ? whole : whole.slice(0, end + 1), `sequence ${i}, round ${round}`);
      const held = session.tokens(i);
      assert.equal(held, [...(prompts[i] ?? []), ...tokens].slice(0, held.length));
    }
  }
  session.dispose();
  model.dispose();
});

inTurn("a device error while a run ahead is dropped is reported by the next call", async () => {
  const device = await testDevice();
  const model = await load(location("weights/stories260K"), { device });
  const session = await model.session({ context: 128 });
  await session.generate([1, 403, 407], { maxNewTokens: 60 }).result();
  let count = 0;
  for await (const _ of session.generate([1, 403, 410], { maxNewTokens: 100 })) if (++count === 2) break;
  // An impossible buffer: the device reports it on its own.
  device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.is(await codeOf(() => session.generate([1, 403, 410], { maxNewTokens: 4 }).result()), "gpu");
  assert.is((await session.generate([1, 403, 410], { maxNewTokens: 4 }).result()).tokens.length, 4);
  session.dispose();
  model.dispose();
});

test.run();
