/** A running batch for callers: any number of requests at any time, run together. */
import { batchDefaults } from "../defaults.ts";
import { SluiceError } from "../errors.ts";
import { prepareBatch } from "../runtime/batch/prepare.ts";
import type { BatchStats } from "../runtime/batch/request.ts";
import { Scheduler } from "../runtime/batch/scheduler.ts";
import type { Sequences } from "../runtime/sequences.ts";
import { batchDoors } from "./doors.ts";
import { generateInBatch } from "./generate-in-batch.ts";
import { Generation } from "./generation.ts";
import type { ModelParts } from "./model-parts.ts";
import type { BatchGenerateOptions, BatchOptions, SessionOptions } from "./options.ts";
import { boundsOf, numberSequences, type PromptInput, type RequestBounds, settleRequest } from "./request.ts";

/**
 * Requests join between two steps and leave when they have ended, so none waits for another to end while there is a
 * sequence for it; then it waits in line. What the cache holds of earlier requests is kept as long as there is room, and a
 * prompt that begins alike does not compute it again. Under the reference plan every request has the bits that it has
 * alone, whatever runs beside it.
 */
export class Batch {
  readonly #scheduler: Scheduler;
  readonly #bounds: RequestBounds;
  readonly #sequences: Sequences;
  #isDisposed = false;

  /** @internal */
  constructor(sequences: Sequences, scheduler: Scheduler, bounds: RequestBounds) {
    this.#sequences = sequences;
    this.#scheduler = scheduler;
    this.#bounds = bounds;
  }

  /** Positions of each sequence. */
  get context(): number {
    return this.#sequences.plan.capacity;
  }

  /** Number of sequences: the most requests that run at once. */
  get sequences(): number {
    return this.#sequences.plan.sequences;
  }

  /** What it is doing, and what it did since it was opened. */
  get stats(): BatchStats {
    return this.#scheduler.counts;
  }

  /**
   * Continues a prompt beside whatever else runs. It joins when the result is iterated or awaited; a caller that stops
   * iterating, or aborts, frees its sequence at once. An error ends this request alone.
   * @throws SluiceError `busy`, from the result, if `maxQueue` requests wait already
   */
  generate(prompt: PromptInput, options: BatchGenerateOptions = {}): Generation {
    const [given, wanted] = batchDoors.generate.read(prompt, options);
    if (this.#isDisposed) throw new SluiceError("usage", "This batch has been disposed of; open another");
    const { request } = settleRequest(this.#bounds, numberSequences([given], wanted.samples), wanted);
    return new Generation(() => generateInBatch(request, this.#sequences, this.#scheduler));
  }

  /** Frees the batch's buffers. Requests that run or wait end with an error. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#scheduler.dispose();
  }
}

/**
 * Opens the sequences of a batch and compiles what its steps need.
 * @throws SluiceError `context_overflow`, `device_limit`, `aborted`
 */
export async function openBatch(
  open: (options: SessionOptions) => Promise<Sequences>,
  parts: ModelParts,
  options: BatchOptions,
): Promise<Batch> {
  const { sequences: count, prefillRows, maxQueue, context, signal } = { ...batchDefaults, ...options };
  const sequences = await open({ sequences: count, ...(context !== undefined && { context }), live: true, signal });
  try {
    await prepareBatch(sequences, prefillRows, signal);
  } catch (error) {
    sequences.dispose();
    throw error;
  }
  const scheduler = new Scheduler(sequences, { prefillRows, maxQueue });
  return new Batch(sequences, scheduler, boundsOf(parts, sequences.plan.capacity));
}
