/** Records what the host does and when, into preallocated memory: nothing is allocated while it records. */
import { type HostObserver, type HostWork, hostWorks } from "../execution/host-observer.ts";

/** One span of one kind of work. */
export interface RecordedSpan {
  readonly work: HostWork;
  /** The number in force when it began. */
  readonly step: number;
  /** By `performance.now()`. */
  readonly began: number;
  readonly ended: number;
}

/** Spans follow one another and never overlap: work ends when the next begins. */
export class HostRecorder implements HostObserver {
  /** The number of spans that begin from now on. */
  step = 0;
  readonly #works: Uint8Array;
  readonly #steps: Uint32Array;
  readonly #began: Float64Array;
  readonly #ended: Float64Array;
  #count = 0;
  #open = false;

  /** @param most maximum number of spans recorded before they are taken */
  constructor(most: number) {
    this.#works = new Uint8Array(most);
    this.#steps = new Uint32Array(most);
    this.#began = new Float64Array(most);
    this.#ended = new Float64Array(most);
  }

  enter(work: HostWork): void {
    const now = performance.now();
    this.#end(now);
    if (this.#count === this.#works.length) throw new Error(`More than ${this.#count} spans were recorded`);
    this.#works[this.#count] = hostWorks.indexOf(work);
    this.#steps[this.#count] = this.step;
    this.#began[this.#count] = now;
    this.#open = true;
  }

  leave(): void {
    this.#end(performance.now());
  }

  /** The spans since the last call, in order; an open span is ended. */
  take(): readonly RecordedSpan[] {
    this.leave();
    const spans = Array.from(
      { length: this.#count },
      (_, i): RecordedSpan => ({
        work: hostWorks[this.#works[i] as number] as HostWork,
        step: this.#steps[i] as number,
        began: this.#began[i] as number,
        ended: this.#ended[i] as number,
      }),
    );
    this.#count = 0;
    return spans;
  }

  #end(now: number): void {
    if (!this.#open) return;
    this.#ended[this.#count++] = now;
    this.#open = false;
  }
}
