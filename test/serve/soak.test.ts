/**
 * The soak (`npm run soak`) for some seconds, with its server in this process: other clients change no answer, and the
 * engine keeps no buffers.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { soak } from "../../scripts/soak/soak.ts";
import { startHere } from "../../scripts/soak/soaked.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";

test("whatever other clients do, every answer is the one that it is alone", async () => {
  const { counts, faults, samples } = await soak({
    ...{ model: location("weights/stories260K"), seconds: 3, clients: 32 },
    start: (options) => startHere(options, load),
  });
  assert.equal(faults, []);
  assert.ok(
    Object.values(counts).every((count) => count > 0),
    JSON.stringify(counts),
  );
  // All kinds of requests have run before the first sample: what is held then is held at the end, but for a few more
  // buffers that are used again.
  const [first, last] = [samples[0], samples.at(-1)];
  assert.ok(first && last);
  assert.ok(last.resources.bytes <= first.resources.bytes * 1.1, `${first.resources.bytes}, ${last.resources.bytes}`);
  assert.is(last.resources.sessions, first.resources.sessions);
});

test.run();
