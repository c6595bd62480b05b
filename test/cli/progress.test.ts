/** Progress: only for work that takes more than a second, and never a flood. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TextOutput } from "../../src/cli/output.ts";
import { Pace } from "../../src/cli/pace.ts";
import { Progress } from "../../src/cli/progress.ts";
import type { LoadOptions } from "../../src/index.ts";
import { FakeOutput } from "./fake-process.ts";
import { fakeLibrary, run } from "./fake-world.ts";

/** A progress display on a stream, with a clock that the test sets. */
function display(isTTY: boolean): { readonly stream: FakeOutput; readonly progress: Progress; at(ms: number): void } {
  const stream = new FakeOutput({ isTTY });
  let now = 0;
  const progress = new Progress(new TextOutput(stream), () => now);
  return { stream, progress, at: (ms) => (now = ms) };
}

test("nothing is printed in the first second", () => {
  for (const isTTY of [true, false]) {
    const { stream, progress, at } = display(isTTY);
    for (let ms = 0; ms < 1000; ms += 100) {
      at(ms);
      progress.update("loading weights", `${ms / 10} %`);
    }
    progress.clear();
    assert.is(stream.text, "");
  }
});

test("a log gets a line when the work changes and every ten seconds", () => {
  const { stream, progress, at } = display(false);
  for (let ms = 0; ms <= 25_000; ms += 250) {
    at(ms);
    progress.update(ms < 20_000 ? "loading weights" : "compiling kernels", `${ms}`);
  }
  assert.equal(stream.text.split("\n"), [
    "sluice: loading weights 1000",
    "sluice: loading weights 11000",
    "sluice: compiling kernels 20000",
    "",
  ]);
});

test("a terminal has one line, which is cut to its width and taken away", () => {
  const { stream, progress, at } = display(true);
  progress.update("loading", "0 %");
  at(1500);
  progress.update("loading", "x".repeat(200));
  progress.clear();
  const [before, line, after] = stream.text.split("\r\u001b[K");
  assert.is(before, "");
  assert.is(line?.length, 79);
  assert.is(after, "");
});

test("work without progress shows the seconds, and gives way to work with progress", async () => {
  const stream = new FakeOutput();
  // A clock twenty times as fast as the timer's.
  const began = performance.now();
  const progress = new Progress(new TextOutput(stream), () => (performance.now() - began) * 20);
  const work = (async () => {
    const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    await wait(1100);
    progress.update("compiling kernels", "1 of 2");
    await wait(1000);
    progress.update("compiling kernels", "2 of 2", true);
    await wait(1000);
  })();
  await progress.during("reading the prompt", work);
  const labels = stream.text.split("\n").map((line) => /^sluice: ([a-z ]+?) (?:\(?\d)/.exec(line)?.[1]);
  const changes = labels.filter((label, i) => label !== undefined && label !== labels[i - 1]);
  assert.equal(changes, ["reading the prompt", "compiling kernels", "reading the prompt"]);
});

test("work with progress shows its count, its rate and the time left", () => {
  let now = 0;
  const sentences = new Pace(() => now);
  const after = (done: number) => sentences.describe({ done, total: 1000, kept: 500, unit: "sentences" });
  // The first batch waits for kernels to compile, and kept rows do not count towards the rate.
  assert.is(after(500), "500 of 1000 sentences, 50 %");
  now = 60_000;
  assert.is(after(510), "510 of 1000 sentences, 51 %");
  now = 70_000;
  assert.is(after(610), "610 of 1000 sentences, 61 %, 10 per s, about 39 s left");
  now = 109_000;
  assert.is(after(1000), "1000 of 1000 sentences, 100 %, 10 per s");

  now = 0;
  const bytes = new Pace(() => now);
  const read = (done: number) => bytes.describe({ done, total: 2e9, unit: "bytes" });
  assert.is(read(1e7), "10 MB of 2.0 GB, 0 %");
  now = 1000;
  assert.is(read(2.1e8), "210 MB of 2.0 GB, 10 %, 200 MB per s, about 9 s left");

  now = 0;
  const slow = new Pace(() => now);
  slow.describe({ done: 1, total: 1000, unit: "edges" });
  now = 60_000;
  assert.is(
    slow.describe({ done: 2, total: 1000, unit: "edges" }),
    "2 of 1000 edges, 0 %, 1 per min, about 16.6 h left",
  );
});

test("a model's own progress is shown while a command waits, and never within its output", async () => {
  const stderr = new FakeOutput({ isTTY: true });
  let listen: LoadOptions["onProgress"];
  const library = {
    ...fakeLibrary({
      says: ["ab"],
      beforeToken: async (index) => {
        const phase = index === 0 ? "run" : "decode";
        listen?.({ phase, done: 1, total: 9 });
        await new Promise((resolve) => setTimeout(resolve, 1100));
        listen?.({ phase, done: 5, total: 9 });
      },
    }),
  };
  const load = library.load;
  library.load = (source, options) => {
    listen = options.onProgress;
    return load(source, options);
  };
  await run(["generate", "m", "Hi"], { library, stderr });
  assert.match(stderr.text, /running the model 5 of 9 tokens, 55 %/);
  assert.not.match(stderr.text, /generating/);
});

test.run();
