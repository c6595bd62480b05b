/** A finished stage table: structure that is written once, and regions of data that know what they are made of. */
import type { LiveSettings } from "../interventions/settings.ts";

export const NONE = 0xffffffff;

/** What a region of data is made of, so that a change finds what to write again. */
export type Origin =
  /** Strength, alpha and positions of every stage of a sequence. */
  | { readonly kind: "records"; readonly sequence: number }
  /** A sequence's mask values, and what they replace. */
  | { readonly kind: "edges"; readonly sequence: number }
  /** A stage's tensors at a layer. */
  | { readonly kind: "tensors"; readonly stage: number; readonly layer: number };

/** Words of data, and how to make them. */
export interface Region {
  /** First word, and words. */
  readonly at: number;
  readonly length: number;
  readonly origins: readonly Origin[];
  write(into: StageWords, settings: LiveSettings): void;
}

/** The table's words, as integers and as floats. */
export class StageWords {
  readonly integers: Uint32Array<ArrayBuffer>;
  readonly floats: Float32Array<ArrayBuffer>;

  constructor(words: number) {
    this.integers = new Uint32Array(words);
    this.floats = new Float32Array(this.integers.buffer);
  }
}

/** A finished table. */
export interface StageImage {
  readonly byteLength: number;
  /** The whole table under these settings. */
  contents(settings: LiveSettings): StageWords;
  /** Writes what depends on the origins again; returns the changed spans, in words. */
  update(
    words: StageWords,
    settings: LiveSettings,
    isChanged: (origin: Origin) => boolean,
  ): readonly { readonly at: number; readonly length: number }[];
}

/** A table of fixed words and regions. */
export function makeImage(
  words: number,
  structure: readonly { readonly at: number; readonly words: readonly number[] }[],
  regions: readonly Region[],
): StageImage {
  return {
    byteLength: words * 4,
    contents(settings) {
      const into = new StageWords(words);
      for (const block of structure) into.integers.set(block.words, block.at);
      for (const region of regions) region.write(into, settings);
      return into;
    },
    update(into, settings, isChanged) {
      const changed = regions.filter(({ origins }) => origins.some(isChanged));
      for (const region of changed) region.write(into, settings);
      return changed.map(({ at, length }) => ({ at, length }));
    },
  };
}
