/** Server-sent events for one reader, who may be slow: what it has not taken is bounded, in bytes and in time. */
import type { Limits } from "./limits.ts";

const { setImmediate: immediately } = globalThis as { readonly setImmediate?: (run: () => void) => unknown };
/** After what is ready to run. Pages have no `setImmediate`. */
const soon = immediately ?? ((run: () => void): unknown => setTimeout(run, 0));

export class EventStream {
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly #encoder = new TextEncoder();
  readonly #limits: Limits;
  readonly #onGone: (why: "left" | "slow") => void;
  #controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;
  #pending = "";
  /** Bytes so far, and how many of them the reader had taken when somebody looked. */
  #sent = 0;
  #taken = 0;
  #takenAt = performance.now();
  #saidAt = performance.now();
  readonly #watch: ReturnType<typeof setInterval>;

  /** @param onGone called once if the reader leaves or takes nothing; nothing more is sent then */
  constructor(limits: Limits, onGone: (why: "left" | "slow") => void) {
    this.#limits = limits;
    this.#onGone = onGone;
    this.body = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        cancel: () => this.#end("left"),
      },
      { highWaterMark: limits.backlogBytes, size: (chunk) => chunk.byteLength },
    );
    this.#watch = setInterval(() => this.#look(), Math.min(1000, limits.stallMs / 4));
    // A stream alone does not keep a process alive, where that is a question.
    (this.#watch as { unref?: () => void }).unref?.();
  }

  /** Events of one turn of the event loop, such as the tokens of one run of steps, go out as one chunk. */
  send(data: object | string): void {
    if (!this.#controller) return;
    if (this.#pending === "") soon(() => this.#flush());
    this.#pending += `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
  }

  close(): void {
    this.#flush();
    clearInterval(this.#watch);
    this.#controller?.close();
    this.#controller = undefined;
  }

  #flush(): void {
    const text = this.#pending;
    this.#pending = "";
    if (text !== "") this.#write(text);
  }

  #write(text: string): void {
    const controller = this.#controller;
    if (!controller) return;
    const bytes = this.#encoder.encode(text);
    controller.enqueue(bytes);
    this.#sent += bytes.byteLength;
    this.#saidAt = performance.now();
    if ((controller.desiredSize ?? 0) <= 0) this.#end("slow");
  }

  #look(): void {
    const { backlogBytes, stallMs, quietMs } = this.#limits;
    const now = performance.now();
    const waiting = backlogBytes - (this.#controller?.desiredSize ?? backlogBytes);
    const taken = this.#sent - waiting;
    if (waiting === 0 || taken > this.#taken) this.#takenAt = now;
    this.#taken = taken;
    if (now - this.#takenAt > stallMs) this.#end("slow");
    else if (now - this.#saidAt > quietMs) this.#write(": still here\n\n");
  }

  #end(why: "left" | "slow"): void {
    clearInterval(this.#watch);
    const controller = this.#controller;
    if (!controller) return;
    this.#controller = undefined;
    if (why === "slow") controller.error(new Error("The reader is too slow"));
    this.#onGone(why);
  }
}
