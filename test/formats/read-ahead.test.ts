/** Reading a distant file in order: the requests, their times, and failures. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type FetchRange, ReadAhead, type Span } from "../../src/formats/read-ahead.ts";

const MB = 1 << 20;
const RANGE = 24 * MB;
const PATH = "model.safetensors";

function aheadOf(file: SlowFile, ...spans: readonly Span[]): ReadAhead {
  const ahead = new ReadAhead(file.fetch);
  ahead.add(PATH, spans);
  return ahead;
}

/** A file whose every answer the test gives: requests wait in a list. */
class SlowFile {
  readonly asked: [begin: number, length: number][] = [];
  readonly #answers: (() => void)[] = [];
  broken = false;

  readonly fetch: FetchRange = (_path, begin, target, onFilled) => {
    this.asked.push([begin, target.length]);
    return new Promise((resolve, reject) => {
      this.#answers.push(() => {
        if (this.broken) return reject(new Error("lost"));
        // A byte says which MB of the file it is in.
        for (let at = 0; at < target.length; at++) target[at] = (begin + at) >> 20;
        onFilled(target.length);
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
async function readIn(file: SlowFile, work: Promise<boolean>): Promise<void> {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  done.catch(() => undefined);
  while (!isDone) await file.answer();
  assert.ok(await done);
}

test("three ranges are under way before the first is there, the first ones small, and small reads share them", async () => {
  const file = new SlowFile();
  const ahead = aheadOf(file, { begin: 100, end: 100 + 60 * MB });
  assert.is(file.asked.length, 3);
  let end = 100;
  for (const [i, [begin, length]] of file.asked.entries()) {
    assert.is(begin, end);
    assert.is(length, Math.ceil(((i + 1) * RANGE) / 3));
    end += length;
  }
  for (let at = 100; at < 100 + 60 * MB; at += MB) {
    const target = new Uint8Array(MB);
    assert.ok(ahead.has(PATH, at, at + MB));
    await readIn(file, ahead.read(PATH, at, target));
    assert.is(target[0], at >> 20);
    assert.is(target[MB - 1], (at + MB - 1) >> 20);
  }
  const bytes = file.asked.reduce((sum, [, length]) => sum + length, 0);
  assert.is(bytes, 60 * MB, "each byte is asked for once");
});

test("a read waits for its bytes, not for its range", async () => {
  const target = new Uint8Array(10);
  const ahead = new ReadAhead((_path, _begin, bytes, onFilled) => {
    bytes.fill(7, 0, 10);
    onFilled(10);
    return new Promise(() => undefined);
  });
  ahead.add(PATH, [{ begin: 0, end: MB }]);
  assert.ok(await ahead.read(PATH, 0, target));
  assert.equal([...target], new Array(10).fill(7));
});

test("the next file begins while the last ranges of one are under way", async () => {
  const asked: string[] = [];
  const ahead = new ReadAhead((path) => {
    asked.push(path);
    return new Promise(() => undefined);
  });
  ahead.add("1", [{ begin: 0, end: 2 * MB }]);
  ahead.add("2", [{ begin: 0, end: 40 * MB }]);
  assert.equal(asked, ["1", "2", "2"]);
});

test("unneeded tensors are skipped, small gaps are not", () => {
  const file = new SlowFile();
  const spans = [
    { begin: 20 * MB, end: 21 * MB },
    { begin: 0, end: MB },
    { begin: MB + 1000, end: 2 * MB },
  ];
  const ahead = aheadOf(file, ...spans);
  assert.equal(file.asked, [
    [0, 2 * MB],
    [20 * MB, MB],
  ]);
  assert.ok(ahead.has(PATH, 0, 2 * MB) && ahead.has(PATH, 20 * MB, 21 * MB));
  assert.not.ok(ahead.has(PATH, 2 * MB - 1, 2 * MB + 1));
  assert.not.ok(ahead.has(PATH, 5 * MB, 5 * MB + 1));
  assert.not.ok(ahead.has(PATH, 20 * MB, 22 * MB));
});

test("a read across ranges is whole, and a step back is not held any more", async () => {
  const file = new SlowFile();
  const ahead = aheadOf(file, { begin: 0, end: 40 * MB });
  const target = new Uint8Array(20 * MB);
  await readIn(file, ahead.read(PATH, 2 * MB, target));
  assert.equal([target[0], target[6 * MB], target[20 * MB - 1]], [2, 8, 21]);
  assert.ok(ahead.has(PATH, 21 * MB, 22 * MB), "of the range that was read last, all is there");
  await readIn(file, ahead.read(PATH, 30 * MB, target.subarray(0, MB)));
  assert.not.ok(ahead.has(PATH, 10 * MB, 11 * MB));
});

test("a failure is the reader's, and the next read asks again", async () => {
  const file = new SlowFile();
  const ahead = aheadOf(file, { begin: 0, end: MB });
  file.broken = true;
  const target = new Uint8Array(MB / 2);
  const message = await readIn(file, ahead.read(PATH, 0, target)).catch((error: Error) => error.message);
  assert.is(message, "lost");
  file.broken = false;
  target.fill(9);
  await readIn(file, ahead.read(PATH, 0, target));
  assert.is(target[0], 0);
  assert.is(file.asked.length, 2);
});

test.run();
