/** What fits from two classes of sentences are made of, by the reference: responses, how well they rank, class means. */
import { type neuronSites, noStages } from "../../src/interventions/stage.ts";
import { referenceForward } from "./forward.ts";
import type { GoldenTensor } from "./golden-files.ts";
import type { ReferenceModel } from "./open.ts";

type Sentences = readonly (readonly number[])[];

/** The sites that AurA scales unless told otherwise, those of them that the model has. */
const auraSites = ["mlp_pre", "gate_pre", "up", "mlp_out"] satisfies (typeof neuronSites)[number][];

/**
 * `auroc.SITE.L`: how well each neuron's greatest response to a sentence tells the classes apart, by mid-ranks;
 * `alpha.SITE.L`: AurA's factor (Suau et al. 2024); `mean_pos.resid_post.L` and `mean_neg.…`: class means at the last
 * token.
 */
export function fitTensors(model: ReferenceModel, positive: Sentences, negative: Sentences): Map<string, GoldenTensor> {
  const { config } = model;
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => layer);
  const gated = model.weights.blocks[0]?.gate !== undefined;
  const kinds = auraSites.filter((site) => site === "mlp_out" || (site === "mlp_pre") !== gated);
  const sites = kinds.flatMap((kind) => layers.map((layer) => `${kind}.${layer}`));
  const streams = layers.map((layer) => `resid_post.${layer}`);
  const [good, bad] = [positive, negative].map((sentences) => responses(model, sentences, sites, streams)) as [
    Responses,
    Responses,
  ];

  const tensors = new Map<string, GoldenTensor>();
  for (const site of sites) {
    const [above, below] = [good.greatest.get(site), bad.greatest.get(site)] as [Float64Array[], Float64Array[]];
    const auroc = (above[0] as Float64Array).map((_, i) =>
      areaUnderCurve(
        above.map((row) => row[i] as number),
        below.map((row) => row[i] as number),
      ),
    );
    tensors.set(`auroc.${site}`, vector(auroc));
    tensors.set(`alpha.${site}`, vector(auroc.map((area) => (area > 0.5 ? 1 - 2 * (area - 0.5) : 1))));
  }
  for (const site of streams) {
    tensors.set(`mean_pos.${site}`, vector(meanOf(good.last.get(site) as Float64Array[])));
    tensors.set(`mean_neg.${site}`, vector(meanOf(bad.last.get(site) as Float64Array[])));
  }
  return tensors;
}

/** By site, a row per sentence. */
interface Responses {
  /** The greatest value over the sentence's tokens. */
  readonly greatest: ReadonlyMap<string, Float64Array[]>;
  /** The value at its last token. */
  readonly last: ReadonlyMap<string, Float64Array[]>;
}

function responses(
  { config, weights }: ReferenceModel,
  sentences: Sentences,
  pooled: readonly string[],
  streams: readonly string[],
): Responses {
  const greatest = new Map(pooled.map((site) => [site, [] as Float64Array[]]));
  const last = new Map(streams.map((site) => [site, [] as Float64Array[]]));
  for (const tokens of sentences) {
    const { sites } = referenceForward(weights, config, noStages, { tokens, sites: [...pooled, ...streams] });
    const rowsOf = (site: string): Float64Array[] => {
      const data = sites.get(site) as Float64Array;
      const width = data.length / tokens.length;
      return tokens.map((_, t) => data.subarray(t * width, (t + 1) * width));
    };
    for (const [site, rows] of greatest) {
      const own = rowsOf(site);
      rows.push((own[0] as Float64Array).map((_, i) => Math.max(...own.map((row) => row[i] as number))));
    }
    for (const [site, rows] of last) rows.push(rowsOf(site).at(-1) as Float64Array);
  }
  return { greatest, last };
}

/** The share of pairs that the positive one wins; a draw is half a win. */
function areaUnderCurve(positive: readonly number[], negative: readonly number[]): number {
  let wins = 0;
  for (const above of positive) for (const below of negative) wins += above > below ? 1 : above === below ? 0.5 : 0;
  return wins / (positive.length * negative.length);
}

function meanOf(rows: readonly Float64Array[]): Float64Array {
  const sum = new Float64Array((rows[0] as Float64Array).length);
  for (const row of rows) for (const [i, value] of row.entries()) sum[i] = (sum[i] as number) + value;
  return sum.map((value) => value / rows.length);
}

function vector(data: Float64Array): GoldenTensor {
  return { shape: [data.length], data };
}
