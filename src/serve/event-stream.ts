/** Server-sent events for one reader, who may be slow: what it has not taken is bounded, in bytes and in time. */
import { limits } from "./limits.ts";

export class EventStream {
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly #encoder = new TextEncoder();
  readonly #onGone: (why: "left" | "slow") => void;
  #controller: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;
  #takenAt = performance.now();
  #saidAt = performance.now();
  readonly #watch: ReturnType<typeof setInterval>;

  /** @param onGone called once if the reader leaves or takes nothing; nothing more is sent then */
  constructor(onGone: (why: "left" | "slow") => void) {
    this.#onGone = onGone;
    this.body = new ReadableStream<Uint8Array<ArrayBuffer>>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          this.#takenAt = performance.now();
        },
        cancel: () => this.#end("left"),
      },
      { highWaterMark: limits.backlogBytes, size: (chunk) => chunk.byteLength },
    );
    this.#watch = setInterval(() => this.#look(), 1000);
    // A stream alone does not keep a process alive, where that is a question.
    (this.#watch as { unref?: () => void }).unref?.();
  }

  send(data: object | string): void {
    this.#write(`data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);
  }

  close(): void {
    clearInterval(this.#watch);
    this.#controller?.close();
    this.#controller = undefined;
  }

  #write(text: string): void {
    const controller = this.#controller;
    if (!controller) return;
    controller.enqueue(this.#encoder.encode(text));
    this.#saidAt = performance.now();
    if ((controller.desiredSize ?? 0) <= 0) this.#end("slow");
  }

  #look(): void {
    const now = performance.now();
    const waits = (this.#controller?.desiredSize ?? limits.backlogBytes) < limits.backlogBytes;
    if (!waits) this.#takenAt = now;
    if (now - this.#takenAt > limits.stallMs) this.#end("slow");
    else if (now - this.#saidAt > limits.quietMs) this.#write(": still here\n\n");
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
