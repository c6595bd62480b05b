/** The objective of fitting edges: the loss on good texts minus the weighted loss on bad ones. */

import type { EdgeAttribution, MaskValues, ShapedValues } from "../../attribution/attribute-edges.ts";
import { countEdges, listDestinations, listSources, visibleSources } from "../../interventions/edges.ts";
import type { Destinations, EdgeMaskStage } from "../../interventions/stage.ts";
import type { Model } from "../../model/model.ts";
import { openAttribution } from "../attribution.ts";

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

/** What replaces cut sources. */
export interface Replacement {
  readonly constants: ShapedValues | undefined;
  readonly replace: EdgeMaskStage["replace"];
}

/** Maximum rows of one evaluation of candidate masks. */
const BATCH_ROWS = 4096;
const MOST_MASKS = 16;

type Attributions = Readonly<Record<keyof TextPair, EdgeAttribution>>;

/** Losses and gradients on a pair of text collections. Masks are `[n_dst][n_src]` in float64. */
export class Objective {
  readonly badWeight: number;
  /** Largest rise of the bad loss that counts, in nats. */
  readonly badCap: number;
  readonly edgeCount: number;
  /** Index of every edge in a mask, ascending. */
  readonly edges: readonly number[];
  readonly shape: readonly [destinations: number, sources: number];
  readonly #single: Attributions;
  readonly #batch: Attributions;
  readonly #replacement: Replacement;
  readonly #signal: AbortSignal | undefined;
  /** Bad loss at the start of the search, once it is known. */
  #badStart: number | undefined;

  private constructor(
    { config }: Model,
    destinations: Destinations,
    single: Attributions,
    batch: Attributions,
    options: { badWeight: number; badCap: number; replacement: Replacement; signal: AbortSignal | undefined },
  ) {
    const sources = listSources(config).length;
    const list = listDestinations(config, destinations);
    this.shape = [list.length, sources];
    this.edgeCount = countEdges(config, destinations);
    this.edges = list.flatMap((destination, d) =>
      Array.from({ length: visibleSources(config, destination) }, (_, s) => d * sources + s),
    );
    this.#single = single;
    this.#batch = batch;
    this.badWeight = options.badWeight;
    this.badCap = options.badCap;
    this.#replacement = options.replacement;
    this.#signal = options.signal;
  }

  /** @throws SluiceError as `openAttribution` */
  static async open(
    model: Model,
    texts: TextPair,
    options: {
      readonly destinations: Destinations;
      readonly badWeight: number;
      readonly badCap: number;
      readonly replacement: Replacement;
      /** Maximum number of masks evaluated at once: unused places would be computed in vain. */
      readonly mostMasks?: number;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<Objective> {
    const { destinations, mostMasks = MOST_MASKS, signal } = options;
    const opened: EdgeAttribution[] = [];
    const open = async (of: readonly (readonly number[])[], masks: number): Promise<EdgeAttribution> => {
      const attribution = await openAttribution(model, of, { destinations, masks, signal });
      opened.push(attribution);
      return attribution;
    };
    try {
      const single = { good: await open(texts.good, 1), bad: await open(texts.bad, 1) };
      // At least two masks: a program for one mask would also have the buffers of gradients.
      const batch = {
        good: await open(texts.good, masksFor(texts.good, mostMasks)),
        bad: await open(texts.bad, masksFor(texts.bad, mostMasks)),
      };
      return new Objective(model, destinations, single, batch, { ...options, signal });
    } catch (error) {
      for (const attribution of opened) attribution.dispose();
      throw error;
    }
  }

  /** The objective: the good loss minus the weighted bad loss, whose rise is capped. */
  valueOf({ good, bad }: PairLoss): number {
    return good - this.badWeight * Math.min(bad, this.#badLimit);
  }

  get #badLimit(): number {
    return (this.#badStart ?? Number.POSITIVE_INFINITY) + this.badCap;
  }

  /** Losses, and the gradient of the objective. The first mask evaluated is the start of the search. */
  async gradient(mask: Float64Array): Promise<{ readonly losses: PairLoss; readonly gradient: Float64Array }> {
    const values = this.#valuesOf(mask);
    const good = await this.#single.good.run(values, { signal: this.#signal });
    const bad = await this.#single.bad.run(values, { signal: this.#signal });
    this.#badStart ??= bad.loss;
    const weight = bad.loss < this.#badLimit ? this.badWeight : 0;
    const gradient = Float64Array.from(
      good.gradient.data,
      (value, i) => value - weight * (bad.gradient.data[i] as number),
    );
    return { losses: { good: good.loss, bad: bad.loss }, gradient };
  }

  /**
   * Losses under each mask, in their order. Neighbours that share their early layers cost less.
   * @param onProgress called with the number done
   */
  async losses(
    masks: readonly Float64Array[],
    onProgress: (done: number) => void = () => undefined,
  ): Promise<readonly PairLoss[]> {
    const of = async (kind: keyof TextPair, done: (count: number) => void): Promise<number[]> => {
      const attribution = this.#batch[kind];
      const losses: number[] = [];
      for (let first = 0; first < masks.length; first += attribution.masks) {
        const some = masks.slice(first, first + attribution.masks).map((mask) => this.#valuesOf(mask));
        losses.push(...(await attribution.losses(some, { signal: this.#signal })));
        done(losses.length);
      }
      return losses;
    };
    const good = await of("good", (count) => onProgress(count / 2));
    const bad = await of("bad", (count) => onProgress((masks.length + count) / 2));
    return good.map((loss, i) => ({ good: loss, bad: bad[i] as number }));
  }

  dispose(): void {
    for (const set of [this.#single, this.#batch]) {
      set.good.dispose();
      set.bad.dispose();
    }
  }

  #valuesOf(mask: Float64Array): MaskValues {
    return { ...this.#replacement, mask: { data: mask, shape: this.shape } };
  }
}

function masksFor(texts: readonly (readonly number[])[], most: number): number {
  const rows = texts.reduce((sum, { length }) => sum + length, 0);
  return Math.min(Math.max(Math.floor(BATCH_ROWS / rows), 2), Math.max(2, most), MOST_MASKS);
}
