/** The objective of fitting edges: the loss on good texts minus the weighted loss on bad ones. */

import { countEdges, listDestinations, listSources, visibleSources } from "../../interventions/edges.ts";
import type { Destinations } from "../../interventions/stage.ts";
import type { Model } from "../../model/model.ts";
import { Kept } from "../../shards/kept.ts";
import { labelOf, type Shard, type ShardRunner } from "../../shards/shards.ts";
import { checkAttribution } from "../attribution.ts";
import {
  edgeGradient,
  edgeLosses,
  type GradientInput,
  type LossesInput,
  partsOf,
  type Replacement,
  sparse,
  type TextPart,
} from "./edge-shards.ts";

/** Texts that should keep their loss, and texts that should lose theirs. */
export interface TextPair {
  /** Token ids of each text whose loss should stay. */
  readonly good: readonly (readonly number[])[];
  /** Token ids of each text whose loss should rise. */
  readonly bad: readonly (readonly number[])[];
}

/** A number for each kind of text, in nats per predicted token. */
export interface PairLoss {
  /** On the good texts. */
  readonly good: number;
  /** On the bad texts. */
  readonly bad: number;
}

/** Maximum rows of one evaluation of candidate masks. */
const BATCH_ROWS = 4096;
const MOST_MASKS = 16;

type Parts = Readonly<Record<keyof TextPair, readonly TextPart[]>>;

/** What is fitted, and how. */
export interface ObjectiveOptions {
  readonly destinations: Destinations;
  readonly badWeight: number;
  readonly badCap: number;
  readonly replacement: Replacement;
  /** Maximum number of masks evaluated at once: unused places would be computed in vain. */
  readonly mostMasks?: number;
  readonly runner: ShardRunner;
  readonly signal?: AbortSignal | undefined;
}

/** Losses and gradients on a pair of text collections. Masks are `[n_dst][n_src]` in float64. */
export class Objective {
  readonly edgeCount: number;
  /** Index of every edge in a mask, ascending. */
  readonly edges: readonly number[];
  readonly shape: readonly [destinations: number, sources: number];
  readonly #model: Model;
  readonly #options: ObjectiveOptions;
  readonly #parts: Parts;
  /** Texts that are ready on the device of this process. */
  readonly #kept = new Kept();
  /** Bad loss at the start of the search, once it is known. */
  #badStart: number | undefined;

  /** @throws SluiceError as `openAttribution`, for what can be said before anything runs */
  constructor(model: Model, texts: TextPair, options: ObjectiveOptions) {
    const { config } = model;
    const { destinations } = options;
    for (const some of [texts.good, texts.bad]) checkAttribution(model, some, { destinations });
    const sources = listSources(config).length;
    const list = listDestinations(config, destinations);
    this.shape = [list.length, sources];
    this.edgeCount = countEdges(config, destinations);
    this.edges = list.flatMap((destination, d) =>
      Array.from({ length: visibleSources(config, destination) }, (_, s) => d * sources + s),
    );
    this.#model = model;
    this.#options = options;
    this.#parts = { good: partsOf(texts.good), bad: partsOf(texts.bad) };
  }

  /** The objective: the good loss minus the weighted bad loss, whose rise is capped. */
  valueOf({ good, bad }: PairLoss): number {
    return good - this.#options.badWeight * Math.min(bad, this.#badLimit);
  }

  get #badLimit(): number {
    return (this.#badStart ?? Number.POSITIVE_INFINITY) + this.#options.badCap;
  }

  /** Losses, and the gradient of the objective. The first mask evaluated is the start of the search. */
  async gradient(mask: Float64Array): Promise<{ readonly losses: PairLoss; readonly gradient: Float64Array }> {
    const given = sparse(mask);
    const shards = this.#shardsOf((part): readonly GradientInput[] => [
      { ...this.#shared, texts: part.texts, mask: given },
    ]);
    const losses = { good: 0, bad: 0 };
    const gradients = { good: new Float64Array(mask.length), bad: new Float64Array(mask.length) };
    let done = 0;
    for await (const { loss, gradient } of this.#options.runner.run(edgeGradient, shards, this.#call)) {
      const { kind, share } = shards[done++] as OwnShard<GradientInput>;
      losses[kind] += share * loss;
      const sum = gradients[kind];
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + share * (gradient[i] as number);
    }
    this.#badStart ??= losses.bad;
    const weight = losses.bad < this.#badLimit ? this.#options.badWeight : 0;
    return { losses, gradient: gradients.good.map((value, i) => value - weight * (gradients.bad[i] as number)) };
  }

  /**
   * Losses under each mask, in their order. Neighbours that share their early layers cost less.
   * @param onProgress called with the number done
   */
  async losses(
    masks: readonly Float64Array[],
    onProgress: (done: number) => void = () => undefined,
  ): Promise<readonly PairLoss[]> {
    const given = masks.map(sparse);
    const shards = this.#shardsOf(({ texts, rows }) => {
      const sideBySide = masksFor(rows, this.#options.mostMasks ?? MOST_MASKS);
      return Array.from({ length: Math.ceil(given.length / sideBySide) }, (_, i): LossesInput => {
        const some = given.slice(i * sideBySide, (i + 1) * sideBySide);
        return { ...this.#shared, texts, masks: some, sideBySide };
      });
    });
    const parts = this.#parts.good.length + this.#parts.bad.length;
    const call = { ...this.#call, onProgress: (done: number) => onProgress(done / parts) };
    const losses = masks.map(() => ({ good: 0, bad: 0 }));
    let next = 0;
    let shard = 0;
    for await (const some of this.#options.runner.run(edgeLosses, shards, call)) {
      const { kind, share } = shards[shard++] as OwnShard<LossesInput>;
      for (const loss of some) {
        const sum = losses[next++ % masks.length] as Record<keyof TextPair, number>;
        sum[kind] += share * loss;
      }
    }
    return losses;
  }

  dispose(): void {
    this.#kept.dispose();
  }

  get #shared(): Pick<LossesInput, "shape" | "destinations" | "replacement"> {
    const { destinations, replacement } = this.#options;
    return { shape: this.shape, destinations, replacement };
  }

  get #call() {
    return { signal: this.#options.signal, kept: this.#kept };
  }

  /** The shards of all good texts, then of all bad ones, each with its share in the loss of its kind. */
  #shardsOf<Input>(inputsOf: (part: TextPart) => readonly Input[]): readonly OwnShard<Input>[] {
    return (["good", "bad"] as const).flatMap((kind) => {
      const parts = this.#parts[kind];
      const predictions = parts.reduce((sum, part) => sum + part.predictions, 0);
      return parts.flatMap((part) => {
        const label = labelOf(`${kind} text`, `${kind} texts`, part.first, part.texts.length);
        const share = part.predictions / predictions;
        return inputsOf(part).map((input) => ({ label, model: this.#model, input, kind, share }));
      });
    });
  }
}

interface OwnShard<Input> extends Shard<Input> {
  readonly kind: keyof TextPair;
  /** What its texts' loss counts in that of all. */
  readonly share: number;
}

/** At least two masks: a program for one mask would also have the buffers of gradients. */
function masksFor(rows: number, most: number): number {
  return Math.min(Math.max(Math.floor(BATCH_ROWS / rows), 2), Math.max(2, most), MOST_MASKS);
}
