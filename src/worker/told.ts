/** Functions of the page, as the engine calls them. */
import { SluiceError } from "../errors.ts";
import { errorOf } from "./failure.ts";
import type { Outcome, Reply } from "./protocol.ts";

/**
 * A function whose latest calls alone wait while the page is busy: one per phase, so that each phase is seen to end. So
 * progress neither queues nor is lost.
 */
export class Latest {
  readonly #send: (calls: readonly (readonly unknown[])[]) => void;
  readonly #waiting = new Map<unknown, readonly unknown[]>();
  #isBusy = false;

  constructor(send: (calls: readonly (readonly unknown[])[]) => void) {
    this.#send = send;
  }

  readonly call = (...args: readonly unknown[]): void => {
    const key = phaseOf(args[0]);
    this.#waiting.delete(key);
    this.#waiting.set(key, args);
    if (!this.#isBusy) this.flush();
  };

  /** Sends what waits. */
  flush(): void {
    if (this.#waiting.size === 0) return;
    this.#isBusy = true;
    const calls = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#send(calls);
  }

  /** The page has heard what was sent. */
  heard(): void {
    this.#isBusy = false;
    this.flush();
  }
}

function phaseOf(first: unknown): unknown {
  if (typeof first === "object" && first !== null && "phase" in first) return first.phase;
  return typeof first === "string" ? first : undefined;
}

/** Questions to the page that wait for their answers. */
export class Questions {
  readonly #send: (reply: Reply) => void;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  #last = 0;

  constructor(send: (reply: Reply) => void) {
    this.#send = send;
  }

  ask(number: number, args: readonly unknown[]): Promise<unknown> {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#send({ type: "ask", id, number, args });
    });
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** No answer will come any more. */
  end(): void {
    for (const { reject } of this.#waiting.values()) reject(new SluiceError("aborted", "The page is gone"));
    this.#waiting.clear();
  }

  answer(id: number, outcome: Outcome): void {
    const question = this.#waiting.get(id);
    this.#waiting.delete(id);
    if ("failure" in outcome) question?.reject(errorOf(outcome.failure));
    else question?.resolve(outcome.value);
  }
}
