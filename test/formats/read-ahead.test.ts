/** Reading a distant file in order: the requests, their times, and failures. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ReadAhead } from "../../src/formats/read-ahead.ts";

const MB = 1 << 20;
const RANGE = 8 * MB;

/** A file whose every answer the test gives: requests wait in a list. */
class SlowFile {
  readonly asked: [begin: number, length: number][] = [];
  readonly #answers: (() => void)[] = [];
  broken = false;

  readonly fetch = (begin: number, target: Uint8Array<ArrayBuffer>): Promise<void> => {
    this.asked.push([begin, target.length]);
    return new Promise((resolve, reject) => {
      this.#answers.push(() => {
        if (this.broken) return reject(new Error("lost"));
        // A byte says which MB of the file it is in.
        for (let at = 0; at < target.length; at++) target[at] = (begin + at) >> 20;
        resolve();
      });
    });
  };

  /** Answers all requests under way. */
  async answer(): Promise<void> {
    for (const answer of this.#answers.splice(0)) answer();
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/** Waits for a read while the file answers round by round. */
async function readIn(file: SlowFile, work: Promise<void>): Promise<void> {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  done.catch(() => undefined);
  while (!isDone) await file.answer();
  await done;
}

test("six ranges are under way before the first is there, and small reads share them", async () => {
  const file = new SlowFile();
  const ahead = new ReadAhead([{ begin: 100, end: 100 + 60 * MB }], file.fetch);
  assert.equal(file.asked, []);
  ahead.start();
  assert.equal(
    file.asked,
    Array.from({ length: 6 }, (_, i) => [100 + i * RANGE, RANGE]),
  );
  for (let at = 100; at < 100 + 60 * MB; at += MB) {
    const target = new Uint8Array(MB);
    assert.ok(ahead.has(at, at + MB));
    await readIn(file, ahead.read(at, target));
    assert.is(target[0], at >> 20);
    assert.is(target[MB - 1], (at + MB - 1) >> 20);
  }
  assert.is(file.asked.length, 8, "each byte is asked for once");
  assert.equal(file.asked.at(-1), [100 + 7 * RANGE, 4 * MB]);
});

test("unneeded tensors are skipped, small gaps are not", () => {
  const file = new SlowFile();
  const spans = [
    { begin: 20 * MB, end: 21 * MB },
    { begin: 0, end: MB },
    { begin: MB + 1000, end: 2 * MB },
  ];
  const ahead = new ReadAhead(spans, file.fetch);
  ahead.start();
  assert.equal(file.asked, [
    [0, 2 * MB],
    [20 * MB, MB],
  ]);
  assert.ok(ahead.has(0, 2 * MB) && ahead.has(20 * MB, 21 * MB));
  assert.not.ok(ahead.has(2 * MB - 1, 2 * MB + 1));
  assert.not.ok(ahead.has(5 * MB, 5 * MB + 1));
  assert.not.ok(ahead.has(20 * MB, 22 * MB));
});

test("a read across ranges is whole, and a step back is not held any more", async () => {
  const file = new SlowFile();
  const ahead = new ReadAhead([{ begin: 0, end: 40 * MB }], file.fetch);
  const target = new Uint8Array(20 * MB);
  await readIn(file, ahead.read(2 * MB, target));
  assert.equal([target[0], target[6 * MB], target[20 * MB - 1]], [2, 8, 21]);
  assert.ok(ahead.has(3 * MB, 4 * MB), "of the range that was read last, all is there");
  await readIn(file, ahead.read(30 * MB, target.subarray(0, MB)));
  assert.not.ok(ahead.has(10 * MB, 11 * MB));
});

test("a failure is the reader's, and the next read asks again", async () => {
  const file = new SlowFile();
  const ahead = new ReadAhead([{ begin: 0, end: 3 * MB }], file.fetch);
  file.broken = true;
  const target = new Uint8Array(MB);
  const message = await readIn(file, ahead.read(0, target)).catch((error: Error) => error.message);
  assert.is(message, "lost");
  file.broken = false;
  await readIn(file, ahead.read(MB, target));
  assert.is(target[0], 1);
  assert.is(file.asked.length, 2);
});

test.run();
