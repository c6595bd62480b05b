import { test } from "uvu";
import * as assert from "uvu/assert";
import { Backlog } from "../../src/execution/backlog.ts";

/** A device whose submits are done when the test says so. */
function imagined() {
  const submitted: string[] = [];
  const endings: { done(): void; fail(): void }[] = [];
  let problem: Error | undefined;
  return {
    submitted,
    endings,
    report(error: Error): void {
      problem = error;
    },
    gpu: {
      device: { queue: { submit: (list: Iterable<unknown>) => submitted.push(...([...list] as string[])) } },
      workDone: () =>
        new Promise<void>((resolve, reject) => {
          endings.push({ done: resolve, fail: () => reject(new Error("lost")) });
        }),
      checkAlive(): void {
        if (problem) throw problem;
      },
    } as unknown as ConstructorParameters<typeof Backlog>[0],
  };
}

const commands = (name: string) => name as unknown as GPUCommandBuffer;
const open = () => undefined;
const soon = () => new Promise((resolve) => setTimeout(resolve, 5));

test("the device has one submit ahead of the one it works on, and no more", async () => {
  const { gpu, submitted, endings } = imagined();
  const backlog = new Backlog(gpu, open);
  await backlog.submit(commands("a"));
  let second = false;
  const waiting = backlog.submit(commands("b")).then(() => {
    second = true;
  });
  await soon();
  assert.equal(submitted, ["a", "b"]);
  assert.is(second, false, "b is the one ahead until a is done");
  endings[0]?.done();
  await waiting;
  assert.is(second, true);
});

test("a submit is timed from when the device is free for it", async () => {
  const { gpu, endings } = imagined();
  const backlog = new Backlog(gpu, open);
  const times: number[] = [];
  const began = performance.now();
  await backlog.submit(commands("a"), (ms) => times.push(ms));
  const waiting = backlog.submit(commands("b"), (ms) => times.push(ms));
  await new Promise((resolve) => setTimeout(resolve, 30));
  endings[0]?.done();
  await waiting;
  await new Promise((resolve) => setTimeout(resolve, 30));
  endings[1]?.done();
  await soon();
  const whole = performance.now() - began;
  assert.is(times.length, 2);
  const [a = 0, b = 0] = times;
  assert.ok(a > 20 && b > 20 && a + b <= whole, `${a} and ${b} of ${whole} ms`);
});

test("what went wrong in one submit is thrown by the next, once, and nothing is left unhandled", async () => {
  const failing = imagined();
  const backlog = new Backlog(failing.gpu, open);
  await backlog.submit(commands("a"), () => assert.unreachable());
  failing.endings[0]?.fail();
  try {
    await backlog.submit(commands("b"), () => assert.unreachable());
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).message, "lost");
  }
  failing.endings[1]?.fail();
  // An unhandled rejection would end the run.
  await soon();

  const reporting = imagined();
  const other = new Backlog(reporting.gpu, open);
  await other.submit(commands("a"));
  reporting.endings[0]?.done();
  reporting.report(new Error("out of memory"));
  try {
    await other.submit(commands("b"));
    assert.unreachable();
  } catch (error) {
    assert.is((error as Error).message, "out of memory");
  }
});

test("what has ended submits nothing", () => {
  const { gpu, submitted } = imagined();
  const backlog = new Backlog(gpu, () => {
    throw new Error("disposed of");
  });
  assert.throws(() => backlog.submit(commands("a")), /disposed of/);
  assert.equal(submitted, []);
});

test.run();
