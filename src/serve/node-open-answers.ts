/** The answers that a server is giving: which there are, and whether their readers take them. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** How far a socket had come when somebody looked. */
interface Progress {
  readonly bytes: number;
  readonly at: number;
}

export class OpenAnswers {
  readonly #open = new Map<ServerResponse, Progress>();
  readonly #stallMs: number;
  readonly #watch: ReturnType<typeof setInterval>;

  /** @param stallMs a connection whose reader takes nothing of what lies ready for this long is ended */
  constructor(stallMs: number) {
    this.#stallMs = stallMs;
    this.#watch = setInterval(() => this.#look(), Math.min(1000, stallMs / 4));
    this.#watch.unref();
  }

  add(response: ServerResponse): void {
    this.#open.set(response, { bytes: 0, at: performance.now() });
    response.on("close", () => this.#open.delete(response));
  }

  /** Whether a connection carries an answer already, which an error must not be mixed into. */
  hasBegun(socket: Socket): boolean {
    return [...this.#open.keys()].some((response) => response.socket === socket && response.headersSent);
  }

  /** Waits for the answers that are being given now; those that begin later do not count. */
  async ended(): Promise<void> {
    const now = [...this.#open.keys()].filter(({ closed }) => !closed);
    await Promise.all(now.map((response) => new Promise<void>((resolve) => response.on("close", resolve))));
  }

  dispose(): void {
    clearInterval(this.#watch);
  }

  #look(): void {
    const now = performance.now();
    for (const [response, before] of this.#open) {
      const { socket } = response;
      if (!socket) continue;
      const bytes = socket.bytesWritten - socket.writableLength;
      if (bytes !== before.bytes || response.writableLength + socket.writableLength === 0) {
        this.#open.set(response, { bytes, at: now });
      } else if (now - before.at > this.#stallMs) socket.destroy();
    }
  }
}
