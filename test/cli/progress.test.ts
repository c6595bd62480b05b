/** Progress: only for what takes more than a second, and never a flood. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TextOutput } from "../../src/cli/output.ts";
import { Progress } from "../../src/cli/progress.ts";
import { FakeOutput } from "./fake-process.ts";

/** A progress display on a stream, with a clock that the test sets. */
function display(isTTY: boolean): { readonly stream: FakeOutput; readonly progress: Progress; at(ms: number): void } {
  const stream = new FakeOutput({ isTTY });
  let now = 0;
  const progress = new Progress(new TextOutput(stream), () => now);
  return { stream, progress, at: (ms) => (now = ms) };
}

test("nothing is said in the first second", () => {
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

test("work that tells nothing shows the seconds, and gives way to work that counts", async () => {
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

test.run();
