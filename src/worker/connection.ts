/** The page's end of the line to the engine: numbers its calls, and keeps what their answers need. */

import { SluiceError } from "../errors.ts";
import { onAbort } from "../on-abort.ts";
import { errorOf, failureOf } from "./failure.ts";
import { CREDIT, type Mark, type Outcome, type Port, PROTOCOL, type Reply, type Request } from "./protocol.ts";

type Listener = (...args: readonly unknown[]) => unknown;

/** What becomes of an answer. */
interface Call {
  resolve(value: unknown): void;
  reject(error: Error): void;
  /** Takes tokens as they come. */
  readonly stream: TokenStream | undefined;
}

/** A call that was sent. */
export interface Sent {
  readonly id: number;
  readonly result: Promise<unknown>;
  /** Lets go of the functions and signals that it was given. */
  release(): void;
}

export class Connection {
  readonly #port: Port;
  readonly #close: () => void;
  readonly #calls = new Map<number, Call>();
  readonly #listeners = new Map<number, Listener>();
  /** Numbers of the worker's objects by their counterparts here. */
  readonly #handles = new WeakMap<object, number>();
  #last = 0;
  #ended: Error | undefined;
  #ready: { resolve(): void; reject(error: Error): void } | undefined;
  /** Resolves when the engine's first word has come. */
  readonly ready: Promise<void>;

  /** @param close ends the worker */
  constructor(port: Port, close: () => void) {
    this.#port = port;
    this.#close = close;
    this.ready = new Promise((resolve, reject) => {
      this.#ready = { resolve, reject };
    });
    port.addEventListener("message", ({ data }: MessageEvent<Reply>) => this.#receive(data));
  }

  /**
   * Calls a method of an object in the worker.
   * @param stream takes the tokens of a generation
   */
  call(target: number, method: string, args: readonly unknown[], stream?: TokenStream): Sent {
    const id = this.#number();
    const given = this.#prepare(args);
    const result = new Promise<unknown>((resolve, reject) => {
      if (this.#ended) {
        reject(this.#ended);
        return;
      }
      this.#calls.set(id, { resolve, reject, stream });
      const { marks } = given;
      try {
        this.#send({ type: "call", id, target, method, args: given.args, marks, ...(stream && { streams: true }) });
      } catch (error) {
        this.#calls.delete(id);
        reject(unsendable(method, error));
      }
    });
    return { id, result, release: given.release };
  }

  /** As {@link call}, for a single answer. */
  async ask(target: number, method: string, args: readonly unknown[]): Promise<unknown> {
    const { result, release } = this.call(target, method, args);
    try {
      return await result;
    } finally {
      release();
    }
  }

  /** What is kept for calls under way: calls, and functions that the worker may call. */
  get held(): { readonly calls: number; readonly functions: number } {
    return { calls: this.#calls.size, functions: this.#listeners.size };
  }

  /** Takes more tokens from a stream. */
  took(id: number, count: number): void {
    this.#send({ type: "took", id, count });
  }

  /** Ends a stream early. */
  stop(id: number): void {
    this.#send({ type: "stop", id });
  }

  /** Makes an object stand for one in the worker. */
  stands<Counterpart extends object>(object: Counterpart, handle: number): Counterpart {
    this.#handles.set(object, handle);
    return object;
  }

  /** Disposes of an object in the worker. */
  release(handle: number): void {
    if (!this.#ended) this.#send({ type: "release", handle });
  }

  /** Fails all calls, and ends the worker. */
  end(error: Error): void {
    if (this.#ended) return;
    this.#ended = error;
    // A worker is ended as a whole; what serves a port goes on, and gives back what it keeps.
    this.#send({ type: "end" });
    this.#ready?.reject(error);
    for (const [id, { reject, stream }] of this.#calls) {
      this.#calls.delete(id);
      reject(error);
      stream?.end();
    }
    this.#close();
  }

  #number(): number {
    this.#last += 1;
    return this.#last;
  }

  #send(request: Request): void {
    this.#port.postMessage(request, []);
  }

  #receive(reply: Reply): void {
    switch (reply.type) {
      case "ready":
        if (reply.protocol === PROTOCOL) this.#ready?.resolve();
        else this.end(new SluiceError("usage", "The worker is of another version of sluice than the page"));
        break;
      case "done":
        this.#finish(reply.id, reply);
        break;
      case "items":
        this.#calls.get(reply.id)?.stream?.push(reply.items);
        break;
      case "tell":
        try {
          for (const args of reply.calls) this.#listeners.get(reply.number)?.(...args);
        } finally {
          this.#send({ type: "heard", number: reply.number });
        }
        break;
      case "ask":
        void this.#answer(reply.id, reply.number, reply.args);
    }
  }

  #finish(id: number, outcome: Outcome): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if ("failure" in outcome) call?.reject(errorOf(outcome.failure));
    else call?.resolve(outcome.value);
    call?.stream?.end();
  }

  async #answer(id: number, number: number, args: readonly unknown[]): Promise<void> {
    let outcome: Outcome;
    try {
      outcome = { value: await this.#listeners.get(number)?.(...args) };
    } catch (error) {
      outcome = { failure: failureOf(error) };
    }
    if (!this.#ended) this.#send({ type: "answer", id, ...outcome });
  }

  /** Arguments as they can be sent: counterparts, signals and functions become marks. */
  #prepare(given: readonly unknown[]): { readonly args: unknown[]; readonly marks: Mark[]; release(): void } {
    const marks: Mark[] = [];
    const undo: (() => void)[] = [];
    const mark = (value: unknown, at: number, field?: string): unknown => {
      const place = { at, ...(field !== undefined && { field }) };
      if (value instanceof AbortSignal) {
        const number = this.#number();
        undo.push(onAbort(value, () => this.#send({ type: "abort", signal: number })));
        marks.push({ ...place, kind: "signal", number, aborted: value.aborted });
        return undefined;
      }
      if (typeof value === "function") {
        const number = this.#number();
        this.#listeners.set(number, value as Listener);
        undo.push(() => this.#listeners.delete(number));
        marks.push({ ...place, kind: kindOf(field), number });
        return undefined;
      }
      const handle = typeof value === "object" && value !== null ? this.#handles.get(value) : undefined;
      if (handle === undefined) return value instanceof URL ? value.href : value;
      marks.push({ ...place, kind: "handle", number: handle });
      return undefined;
    };
    const args = given.map((value, at) => {
      const marked = mark(value, at);
      if (!isPlain(marked)) return marked;
      return Object.fromEntries(Object.entries(marked).map(([field, each]) => [field, mark(each, at, field)]));
    });
    return { args, marks, release: () => undo.forEach((each) => each()) };
  }
}

/** Tokens on their way from the worker to whoever iterates. */
export class TokenStream {
  readonly #items: unknown[] = [];
  #wake: (() => void) | undefined;
  #isEnded = false;
  #unsaid = 0;

  push(items: readonly unknown[]): void {
    this.#items.push(...items);
    this.#wake?.();
  }

  end(): void {
    this.#isEnded = true;
    this.#wake?.();
  }

  /** @param more called with the number of tokens taken, often enough that the worker never waits for a page that takes them */
  async *take(more: (count: number) => void): AsyncGenerator<unknown> {
    for (;;) {
      while (this.#items.length > 0) {
        yield this.#items.shift();
        this.#unsaid += 1;
        if (this.#unsaid < CREDIT / 2) continue;
        more(this.#unsaid);
        this.#unsaid = 0;
      }
      if (this.#isEnded) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** Functions that are told something begin with `on`; progress is worth only its latest state. */
function kindOf(field: string | undefined): Mark["kind"] {
  if (field === "onProgress") return "latest";
  return field?.startsWith("on") ? "told" : "asked";
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function unsendable(method: string, cause: unknown): SluiceError {
  return new SluiceError("usage", `${method}: an argument cannot be sent to the engine's worker`, {
    hint: "Give plain data, arrays and files; a device, a store or a stream stays where it was made.",
    cause,
  });
}
