/** What sluice tune prints, and which commands use the measurements. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { input } from "./fake-process.ts";
import { fakeLibrary, run } from "./fake-world.ts";

test("tune prints a line for each decision, with times, the guess and undecided operations", async () => {
  const library = fakeLibrary();
  const { code, stdout, stderr } = await run(["tune", "m", "--seconds", "5"], { library });
  assert.is(code, 0, stderr);
  assert.is(library.calls.load[0]?.options.tune, undefined);
  assert.is(library.calls.tune[0]?.seconds, 5);
  assert.match(stdout, /^Played GPU, gpu timestamps in steps of 65\.5 µs\n/);
  assert.match(stdout, /linear qkv +768x2304 +f32 +1 +lanes1 +0\.50 +lanes1 105, register1x1\* 211, tile 9000\n/);
  assert.match(stdout, /\n2 decided in 1\.5 s, 1 not in time: they keep the built-in choice\n$/);

  const { stdout: json } = await run(["tune", "m", "--json"], { library });
  assert.is(JSON.parse(json).results[0].chosen, "lanes1");
  assert.is((await run(["tune", "m", "--seconds", "0"], { library })).code, 2);
});

test("long generations tune, short ones use stored choices, commands that measure meaning do neither", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-"));
  try {
    const out = join(folder, "out");
    for (const [line, tune] of [
      ["generate m Hi", "remembered"],
      ["generate m Hi --max-new-tokens 512", true],
      ["generate m Hi --max-new-tokens 512 --no-tune", undefined],
      ["generate m Hi --max-new-tokens 512 --plan reference", undefined],
      ["chat m", true],
      ["chat m --no-tune", undefined],
      ["explain m", "remembered"],
      ["bench m", true],
      ["bench m --no-tune", undefined],
      ["profile m", "remembered"],
      [`logits m --tokens 1 --out ${out}`, undefined],
      [`capture m --tokens 1 --site embed --out ${out}`, undefined],
      [`attribute m --tokens 1,2 --destinations heads --out ${out}`, undefined],
    ] as const) {
      const library = fakeLibrary();
      await run(line.split(" "), { library, stdin: input([]) });
      assert.is(library.calls.load.length, 1, line);
      assert.is(library.calls.load[0]?.options.tune, tune, line);
    }
    const refused = await run(["logits", "m", "--tokens", "1", "--out", out, "--no-tune"]);
    assert.is(refused.code, 2);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test.run();
