/** What a call takes is given back: counts of buffers, pipelines, files and listeners are those of before. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { resources } from "../../src/index.ts";
import { location } from "../support/files.ts";
import { load, sharedDevice } from "../support/load.ts";
import { allRounds } from "../support/rounds.ts";
import { watchedDevice } from "../support/watched-device.ts";

for (const { name, turns, open } of allRounds) {
  test(`${name}: nothing stays`, async () => {
    const device = await sharedDevice();
    const empty = resources();
    const { round, close } = await open(device);
    // What is kept to be used again is there after the first turns.
    for (let turn = 0; turn < turns; turn++) await round(turn);
    const before = resources();
    for (let turn = 0; turn < turns; turn++) await round(turn);
    assert.equal(resources(), before);
    close();
    assert.equal(resources(), empty);
  });
}

test("a model counts what it holds, and nothing after its end", async () => {
  const before = resources();
  const model = await load(location("test/golden/gpt2-tiny"));
  const { devices, models, sessions, buffers, bytes, pipelines } = model.resources;
  assert.equal([devices, models, sessions, pipelines], [1, 1, 0, 0]);
  assert.ok(buffers > 3 && bytes === model.gpuBytes);

  const session = await model.session({ context: 16 });
  await session.generate([1, 2], { maxNewTokens: 2 }).result();
  const used = model.resources;
  assert.is(used.sessions, 1);
  assert.ok(used.buffers > buffers && used.pipelines > 3 && used.bind_groups >= used.pipelines);
  for (const [kind, count] of Object.entries(used)) {
    const key = kind as keyof typeof used;
    if (key !== "files") assert.is(resources()[key] - before[key], count, kind);
  }
  session.dispose();
  assert.equal(
    { ...model.resources, pipelines: 0 },
    { ...used, sessions: 0, buffers, bytes, bind_groups: 0, pipelines: 0 },
  );
  // A session that outlives its model holds nothing either.
  const late = await model.session({ context: 16 });
  model.dispose();
  assert.ok(Object.values(model.resources).every((count) => count === 0));
  late.dispose();
  assert.equal(resources(), before);
});

test("after the end of a session or a model no write waits for a submit", async () => {
  let isWaiting = false;
  const device = watchedDevice(await sharedDevice(), {
    onCall: (_, name) => {
      if (name === "writeBuffer") isWaiting = true;
      if (name === "submit") isWaiting = false;
    },
  });
  const model = await load(location("test/golden/gpt2-tiny"), { device });
  const session = await model.session({ context: 16 });
  assert.ok(isWaiting);
  session.dispose();
  assert.not(isWaiting);
  model.dispose();
  const unused = await load(location("test/golden/gpt2-tiny"), { device });
  unused.dispose();
  assert.not(isWaiting);
});

test.run();
