/**
 * A running batch: requests join and leave between steps. A step has a row for each request that decodes and, of those
 * that have just joined, parts of their prompts: at most `prefillRows` rows, so that a long prompt delays the others by no
 * more than these. When nobody waits to join, several steps go into one submit: as many as fit into the time for which
 * nobody has come, or as many as a submit takes if every sequence has a request. While the host reads one submit, the device
 * has the next, unless somebody has just joined: others may come with them. What that computed for a request that has ended
 * meanwhile is dropped, and the host's writes come after it.
 */
import { SluiceError } from "../../errors.ts";
import { DECODE_RUN_MS } from "../../execution/pacer.ts";
import type { StepRows } from "../../kernels/step.ts";
import { NOT_FINITE } from "../decode.ts";
import { MAX_STEPS_PER_RUN } from "../executor.ts";
import { notFinite } from "../not-finite.ts";
import type { Read } from "../run.ts";
import { type DrawnLogprobs, logprobsRead, readLogprobs, setMask, setSampling, tailForAll } from "../sampler-state.ts";
import type { Sequences } from "../sequences.ts";
import { Arrivals } from "./arrivals.ts";
import { Place } from "./place.ts";
import { Prefixes } from "./prefixes.ts";
import type { ProgramStages } from "./program-stages.ts";
import type { BatchRequest, BatchStats } from "./request.ts";
import { StepBuilder } from "./step-builder.ts";

export interface SchedulerOptions {
  /** Rows of prompts in a step, at most. */
  readonly prefillRows: number;
  /** Requests that may wait; default: any number. */
  readonly maxQueue?: number | undefined;
  /** What acts on sequences; absent if nothing can. */
  readonly stages?: ProgramStages | undefined;
}

/** Steps under way. */
interface Flight {
  /** Whose new ids are read, and how many of each. */
  readonly reads: readonly { readonly place: Place; readonly count: number }[];
  bytes(): Promise<readonly ArrayBuffer[]>;
  /** Whether another one may follow before this one is done: whoever comes meanwhile waits for both. */
  readonly mayBeFollowed: boolean;
}

/** A step, and whose rows it has. */
interface NextStep {
  readonly step: StepRows;
  readonly places: readonly Place[];
  /** Whether it has rows of prompts, and whether some of these are the first of a request. */
  readonly isMixed: boolean;
  readonly hasJoined: boolean;
}

export class Scheduler {
  readonly #sequences: Sequences;
  readonly #options: SchedulerOptions;
  readonly #prefixes: Prefixes;
  /** Requests without a sequence, first come first served. */
  #queue: BatchRequest[] = [];
  /** Those that have one, in the order in which they joined. */
  #places: Place[] = [];
  readonly #arrivals = new Arrivals();
  #turns = 0;
  #isRunning = false;
  #isDisposed = false;
  readonly #counts = { steps: 0, rows: 0, prefill_tokens: 0, reused_tokens: 0, decode_tokens: 0 };

  constructor(sequences: Sequences, options: SchedulerOptions) {
    this.#sequences = sequences;
    this.#options = options;
    this.#prefixes = new Prefixes(sequences);
  }

  get counts(): BatchStats {
    const { slots, plan } = this.#sequences;
    const { idle } = this.#prefixes;
    return {
      running: this.#places.length,
      waiting: this.#queue.length,
      sequences: plan.sequences,
      slots: slots.usage.slots,
      slots_used: slots.usage.used,
      cached_tokens: idle.reduce((sum, sequence) => sum + slots.lengthOf(sequence), 0),
      ...this.#counts,
    };
  }

  /**
   * Lets requests join as soon as there are sequences for them.
   * @throws SluiceError `busy` if more would wait than may; `usage` after `dispose`
   */
  add(requests: readonly BatchRequest[]): void {
    if (this.#isDisposed) throw disposed();
    const { maxQueue = Infinity } = this.#options;
    const waiting = this.#queue.length + requests.length - this.#prefixes.idle.length;
    if (waiting > maxQueue) {
      throw new SluiceError("busy", `The batch is full: ${this.#queue.length} requests wait, and ${maxQueue} may`, {
        hint: "Try again later, or open the batch with more sequences or a longer queue.",
        field: "maxQueue",
      });
    }
    this.#queue.push(...requests);
    this.#arrivals.note();
    if (!this.#isRunning) void this.#run();
  }

  /** Lets go of a request: its sequence is free at once. Its listener is not called any more. */
  cancel(request: BatchRequest): void {
    this.#queue = this.#queue.filter((other) => other !== request);
    const place = this.#places.find((other) => other.request === request);
    if (place) this.#end(place);
  }

  /** Ends every request with an error, and frees the sequences as soon as the device has done with them. */
  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#failAll(disposed());
    if (!this.#isRunning) this.#sequences.dispose();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    await this.#arrivals.gathered();
    const flights: Flight[] = [];
    for (;;) {
      try {
        while (flights.length < 2 && (flights.at(-1)?.mayBeFollowed ?? true)) {
          const flight = await this.#launch();
          if (!flight) break;
          flights.push(flight);
        }
        const [flight] = flights;
        if (!flight) break;
        this.#land(flight, await flight.bytes());
        flights.shift();
      } catch (error) {
        // Nobody knows what these steps left in the caches.
        flights.length = 0;
        this.#failAll(error);
        for (const sequence of this.#prefixes.idle) this.#sequences.truncate(sequence, 0);
      }
    }
    this.#isRunning = false;
    if (this.#isDisposed) this.#sequences.dispose();
  }

  /** Submits what there is to do next. @returns undefined if there is nothing */
  async #launch(): Promise<Flight | undefined> {
    const { executor } = this.#sequences;
    const first = this.#nextStep();
    if (!first) return undefined;
    const places = new Set(first.places);
    const perStep = executor.estimateStep(first.step, "logits", "greedy");
    const wanted = first.isMixed || this.#queue.length > 0 ? 1 : Math.floor(this.#runMs / perStep);
    const steps: StepRows[] = [first.step];
    while (steps.length < Math.min(wanted, MAX_STEPS_PER_RUN)) {
      const next = this.#nextStep();
      if (!next) break;
      steps.push(next.step);
      for (const place of next.places) places.add(place);
    }
    this.#counts.steps += steps.length;
    for (const { rows } of steps) this.#counts.rows += rows.length;
    this.#sequences.sync([...places].map(({ sequence }) => sequence));
    const reads = readsOf([...places], steps);
    const tail = tailForAll([...places].map(({ request }) => request.sampling));
    // Records of all, so that they lie as the ids do.
    const records = tail === "scored" ? reads : [];
    const { bytes } = await executor.submit({
      steps,
      head: "logits",
      tail,
      reads: [
        ...reads.map(({ place, from, count }): Read => {
          const offset = this.#sequences.tokenIndex(place.sequence, from) * 4;
          return { role: { role: "tokens" }, offset, byteLength: count * 4 };
        }),
        ...records.map(({ place, from, count }) =>
          logprobsRead(this.#sequences.tokenIndex(place.sequence, from), count),
        ),
      ],
    });
    return { reads, bytes, mayBeFollowed: perStep <= DECODE_RUN_MS && (!first.hasJoined || this.#isFull) };
  }

  /** Whether nobody can join before somebody leaves. */
  get #isFull(): boolean {
    return this.#prefixes.idle.length === 0;
  }

  /** Milliseconds that the steps of one submit may take, as nobody can join meanwhile. */
  get #runMs(): number {
    return this.#isFull ? DECODE_RUN_MS : Math.min(DECODE_RUN_MS, this.#arrivals.quietMs);
  }

  /** The next step, once the steps before it are submitted; undefined if nobody needs one. */
  #nextStep(): NextStep | undefined {
    const builder = new StepBuilder(this.#sequences);
    const places: Place[] = [];
    const decoding = this.#places.filter(({ isReady }) => isReady);
    const isWaiting = this.#queue.length > 0 || this.#places.some(({ isPrefilling }) => isPrefilling);
    // Where there are more sequences than rows, prompts keep theirs, and sequences take turns.
    const { chunkRows, chunkOuts } = this.#sequences.plan;
    const kept = isWaiting ? Math.min(this.#options.prefillRows, Math.ceil(chunkRows / 2)) : 0;
    const most = Math.min(chunkRows - kept, chunkOuts);
    if (decoding.length > most) decoding.sort((a, b) => a.turn - b.turn);
    for (const place of decoding.slice(0, most)) {
      builder.feedBack(place);
      place.turn = ++this.#turns;
      places.push(place);
    }
    let rows = Math.min(this.#options.prefillRows, builder.room);
    let isMixed = false;
    const known = this.#places.length;
    for (const place of this.#prefilling()) {
      const before = place.submitted;
      builder.feedPrompt(place, rows);
      places.push(place);
      isMixed = true;
      const fed = place.submitted - before;
      this.#counts.prefill_tokens += fed;
      rows = Math.min(rows - fed, builder.room);
      if (rows <= 0) break;
    }
    const hasJoined = this.#places.length > known;
    return builder.rows.length > 0 ? { step: builder.step, places, isMixed, hasJoined } : undefined;
  }

  /** Places with a prompt to run: those that have begun, then those that join. A later one may share what an earlier one just fed. */
  *#prefilling(): Generator<Place> {
    yield* this.#places.filter(({ isPrefilling }) => isPrefilling);
    while (this.#queue.length > 0 && this.#prefixes.idle.length > 0)
      yield this.#join(this.#queue.shift() as BatchRequest);
  }

  #join(request: BatchRequest): Place {
    const { tokens, promptLength, sampling, listener } = request;
    const { plan } = this.#sequences;
    const { stages } = this.#options;
    const { sequence, reused } = this.#prefixes.take(tokens, (from, common) =>
      stages?.isFilledUnder(from, request.stages) === false ? 0 : this.#sequences.usable(from, common, promptLength),
    );
    stages?.begin(sequence, request.stages);
    this.#sequences.beginAs(sequence, promptLength);
    setSampling(this.#sequences, sequence, tokens, sampling);
    const place = new Place(request, sequence, reused, plan.capacity);
    if (place.constraint) setMask(this.#sequences, sequence, place.constraint.mask());
    this.#places.push(place);
    this.#counts.reused_tokens += reused;
    listener.onJoin(reused);
    return place;
  }

  #land({ reads }: Flight, bytes: readonly ArrayBuffer[]): void {
    for (const [i, { place }] of reads.entries()) {
      const records = bytes[reads.length + i];
      const { sampling } = place.request;
      const logprobs = records && sampling.topLogprobs !== undefined ? readLogprobs(records, sampling) : [];
      for (const [n, token] of new Uint32Array(bytes[i] as ArrayBuffer).entries()) {
        if (place.isEnded) break;
        this.#accept(place, token, logprobs[n]);
      }
    }
  }

  #accept(place: Place, token: number, logprobs: DrawnLogprobs | undefined): void {
    const { request, sequence, tokens } = place;
    const position = tokens.length;
    if (token === NOT_FINITE) {
      const error = notFinite(this.#sequences, sequence, `The logits for position ${position}`);
      this.#end(place);
      // What was computed with them must not be reused.
      this.#sequences.truncate(sequence, 0);
      error.then((found) => request.listener.onError(found), request.listener.onError);
      return;
    }
    tokens.push(token);
    this.#sequences.learn(sequence, position, token);
    this.#counts.decode_tokens++;
    try {
      const finish = this.#finishOf(place, token);
      if (finish) this.#end(place);
      if (!request.listener.onToken({ token, finish, logprobs })) this.#end(place);
    } catch (error) {
      this.#end(place);
      request.listener.onError(error);
    }
  }

  /** Why a request ends with this token, if it does; if not, what may come next is set for a constrained text. */
  #finishOf({ request, sequence, tokens, promptTokens, budget, constraint }: Place, token: number) {
    if (request.stopTokens.has(token)) return "stop";
    constraint?.accept(token);
    if (constraint?.isDone) return "stop";
    const count = tokens.length - promptTokens;
    if (count >= budget) return count < request.maxNewTokens ? "context" : "length";
    if (constraint) setMask(this.#sequences, sequence, constraint.mask());
    return undefined;
  }

  /** Frees a request's sequence, which keeps the keys and values of the tokens that are known. */
  #end(place: Place): void {
    if (place.isEnded) return;
    place.isEnded = true;
    const { sequence, tokens } = place;
    this.#places = this.#places.filter((other) => other !== place);
    this.#sequences.truncate(sequence, Math.min(place.submitted, Math.max(tokens.length - 1, 0)));
    this.#prefixes.giveBack(sequence);
  }

  #failAll(error: unknown): void {
    const failed = [...this.#places.map(({ request }) => request), ...(this.#isDisposed ? this.#queue : [])];
    if (this.#isDisposed) this.#queue = [];
    for (const place of [...this.#places]) this.#end(place);
    for (const { listener } of failed) listener.onError(error);
  }
}

/** The new ids of each place in some steps, which lie one after the other. */
function readsOf(places: readonly Place[], steps: readonly StepRows[]) {
  return places.flatMap((place) => {
    const outs = steps.flatMap((step) => step.outs.filter(({ sequence }) => sequence === place.sequence));
    const [first] = outs;
    return first ? [{ place, from: first.position + 1, count: outs.length }] : [];
  });
}

function disposed(): SluiceError {
  return new SluiceError("usage", "This batch has been disposed of; open another");
}
