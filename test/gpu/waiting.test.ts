/** Waits end soon even if the host reports finished work late, and cost nothing otherwise. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Waiter } from "../../src/gpu/waiting.ts";

/** A queue whose work takes no time, and whose host looks for it at intervals and at each submit. */
class SlowToTell {
  submits = 0;
  #open: (() => void)[] = [];
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(everyMs: number) {
    this.#timer = setInterval(() => this.#look(), everyMs);
  }

  submit(): void {
    this.submits++;
    this.#look();
  }

  onSubmittedWorkDone(): Promise<void> {
    return new Promise((resolve) => this.#open.push(resolve));
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const resolve of this.#open.splice(0)) resolve();
  }
}

test("a host that looks every 300 ms is made to check during waits", async () => {
  const queue = new SlowToTell(300);
  const waiter = new Waiter(queue as unknown as GPUQueue);
  await waiter.calibrate();
  assert.ok(waiter.isLate);
  const started = performance.now();
  const waits = [1, 2, 3].map((n) => waiter.until(() => queue.onSubmittedWorkDone().then(() => n)));
  assert.equal(await Promise.all(waits), [1, 2, 3]);
  assert.ok(performance.now() - started < 150, `${performance.now() - started} ms`);
  const { submits } = queue;
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.is(queue.submits, submits, "nothing is submitted when nobody waits");
  queue.end();
});

test("a wait that fails fails, and ends what it began", async () => {
  const queue = new SlowToTell(100);
  const waiter = new Waiter(queue as unknown as GPUQueue);
  await waiter.calibrate();
  let message = "";
  await waiter
    .until(() => Promise.reject(new Error("lost")))
    .catch((error: Error) => {
      message = error.message;
    });
  assert.is(message, "lost");
  const { submits } = queue;
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.is(queue.submits, submits);
  queue.end();
});

test("a host that reports at once gets no extra submits", async () => {
  const queue = new SlowToTell(1);
  const waiter = new Waiter(queue as unknown as GPUQueue);
  await waiter.calibrate();
  assert.not(waiter.isLate);
  const { submits } = queue;
  await waiter.until(() => queue.onSubmittedWorkDone());
  assert.is(queue.submits, submits);
  queue.end();
});

test.run();
