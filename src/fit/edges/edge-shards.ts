/**
 * What fitting edges computes of texts, in shards: losses under masks, gradients, and means of sources. Texts are cut into
 * parts of about a thousand rows, wherever they are computed; so the result is the same in one process and on many machines.
 */
import type { EdgeAttribution, MaskValues, ShapedValues } from "../../attribution/attribute-edges.ts";
import type { Destinations, EdgeMaskStage } from "../../interventions/stage.ts";
import type { Model } from "../../model/model.ts";
import type { ShardCall, ShardKind } from "../../shards/shards.ts";
import { openAttribution } from "../attribution.ts";

/** Token ids of each text. */
export type Texts = readonly (readonly number[])[];

/** What replaces cut sources. */
export interface Replacement {
  readonly constants: ShapedValues | undefined;
  readonly replace: EdgeMaskStage["replace"];
}

/** A mask, as those of its values that are not 1. */
export interface SparseMask {
  /** Indices into `[n_dst][n_src]`, ascending. */
  readonly edges: Uint32Array;
  readonly values: Float64Array;
}

interface TextsInput {
  readonly texts: Texts;
  readonly destinations: Destinations;
}

interface MaskedInput extends TextsInput {
  readonly shape: readonly [destinations: number, sources: number];
  readonly replacement: Replacement;
}

/** Of {@link edgeGradient}. */
export interface GradientInput extends MaskedInput {
  readonly mask: SparseMask;
}

/** Of {@link edgeLosses}. */
export interface LossesInput extends MaskedInput {
  readonly masks: readonly SparseMask[];
  /** Masks that are run side by side, at least as many as are given. Kernels may depend on it. */
  readonly sideBySide: number;
}

/** The mean loss of texts under a mask, in nats per token, and its gradient, `[n_dst][n_src]`. */
export const edgeGradient: ShardKind<GradientInput, { readonly loss: number; readonly gradient: Float32Array }> = {
  name: "edge-gradient",
  amount: () => 1,
  run: (model, input, call) =>
    withAttribution(model, input, 1, call, async (attribution) => {
      const { loss, gradient } = await attribution.run(valuesOf(input, input.mask), { signal: call.signal });
      return { loss, gradient: gradient.data };
    }),
};

/** The mean loss of texts under each of some masks, in nats per token. */
export const edgeLosses: ShardKind<LossesInput, readonly number[]> = {
  name: "edge-losses",
  amount: ({ masks }) => masks.length,
  run: (model, input, call) =>
    withAttribution(model, input, input.sideBySide, call, (attribution) => {
      const masks = input.masks.map((mask) => valuesOf(input, mask));
      return attribution.losses(masks, { signal: call.signal });
    }),
};

/** The mean of what each source writes over all tokens of texts, `[n_src][d]`. */
export const sourceMeans: ShardKind<TextsInput, ShapedValues & { readonly data: Float32Array }> = {
  name: "source-means",
  amount: () => 1,
  async run(model, { texts, destinations }, { signal }) {
    const attribution = await openAttribution(model, texts, { destinations, signal });
    try {
      return await attribution.means({ signal });
    } finally {
      attribution.dispose();
    }
  },
};

/** Rows of a part: a few chunks of attribution, so that what each part adds is little, and many parts even of small corpora. */
const PART_ROWS = 1024;

/** Some of the texts that losses and means are taken over. */
export interface TextPart {
  readonly texts: Texts;
  /** Number of the first text, from 0. */
  readonly first: number;
  readonly rows: number;
  /** Tokens that are predicted; never 0, if the texts have any. */
  readonly predictions: number;
}

/** Neighbouring texts in parts. */
export function partsOf(texts: Texts): readonly TextPart[] {
  const parts: { texts: (readonly number[])[]; first: number; rows: number; predictions: number }[] = [];
  for (const [first, text] of texts.entries()) {
    let part = parts.at(-1);
    // Texts of one token predict nothing, and a part of nothing else would have no loss.
    if (!part || (part.rows + text.length > PART_ROWS && part.predictions > 0 && text.length > 1)) {
      part = { texts: [], first, rows: 0, predictions: 0 };
      parts.push(part);
    }
    part.texts.push(text);
    part.rows += text.length;
    part.predictions += Math.max(text.length - 1, 0);
  }
  return parts;
}

/** @param mask `[n_dst][n_src]` */
export function sparse(mask: Float64Array): SparseMask {
  const edges = Uint32Array.from([...mask.keys()].filter((edge) => mask[edge] !== 1));
  return { edges, values: Float64Array.from(edges, (edge) => mask[edge] as number) };
}

function valuesOf({ shape, replacement }: MaskedInput, { edges, values }: SparseMask): MaskValues {
  const data = new Float64Array(shape[0] * shape[1]).fill(1);
  edges.forEach((edge, i) => {
    data[edge] = values[i] as number;
  });
  return { ...replacement, mask: { data, shape } };
}

/** Texts stay on the device from step to step, as long as there is room for them. */
async function withAttribution<Result>(
  model: Model,
  { texts, destinations }: TextsInput,
  masks: number,
  { signal, kept }: ShardCall,
  use: (attribution: EdgeAttribution) => Promise<Result>,
): Promise<Result> {
  const open = () => openAttribution(model, texts, { destinations, masks, signal });
  if (kept) return kept.with(JSON.stringify(["attribution", destinations, masks, texts]), open, use);
  const attribution = await open();
  try {
    return await use(attribution);
  } finally {
    attribution.dispose();
  }
}
