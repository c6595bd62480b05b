/** The process as the commands see it, played: its streams and its signals. */

import type { SignalSource } from "../../src/cli/interrupts.ts";
import type { OutputStream } from "../../src/cli/output.ts";
import type { InputStream } from "../../src/cli/streams.ts";

/** A stream that keeps what is written, and fails from the n-th write on if asked to. */
export class FakeOutput implements OutputStream {
  text = "";
  readonly isTTY: boolean;
  readonly columns: number;
  #left: number;
  readonly #code: string;
  readonly #listeners = new Set<(error: Error & { code?: string }) => void>();

  constructor({ isTTY = false, columns = 80, writes = Number.POSITIVE_INFINITY, code = "EPIPE" } = {}) {
    this.isTTY = isTTY;
    this.columns = columns;
    this.#left = writes;
    this.#code = code;
  }

  write(text: string, done: (error?: Error | null) => void): boolean {
    const failed = text !== "" && this.#left-- <= 0;
    if (!failed) this.text += text;
    const error = failed ? Object.assign(new Error(`write ${this.#code}`), { code: this.#code }) : null;
    queueMicrotask(() => {
      done(error);
      if (error) for (const listener of this.#listeners) listener(error);
    });
    return true;
  }

  on(_event: "error", listener: (error: Error & { code?: string }) => void): void {
    this.#listeners.add(listener);
  }

  off(_event: "error", listener: (error: Error & { code?: string }) => void): void {
    this.#listeners.delete(listener);
  }
}

/** Signals that a test sends. */
export class FakeSignals implements SignalSource {
  readonly #listeners = new Map<string, Set<() => void>>();

  on(event: string, listener: () => void): void {
    this.#listeners.set(event, new Set(this.#listeners.get(event)).add(listener));
  }

  off(event: string, listener: () => void): void {
    this.#listeners.get(event)?.delete(listener);
  }

  send(event: "SIGINT" | "SIGTERM"): void {
    for (const listener of this.#listeners.get(event) ?? []) listener();
  }

  get watched(): boolean {
    return [...this.#listeners.values()].some((listeners) => listeners.size > 0);
  }
}

/** Standard input that holds these chunks; with `open`, it never ends. */
export function input(chunks: readonly (string | Uint8Array)[], { isTTY = false, open = false } = {}): InputStream {
  return {
    isTTY,
    async *[Symbol.asyncIterator]() {
      yield* chunks;
      if (open) await new Promise(() => undefined);
    },
  };
}
