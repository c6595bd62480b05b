/** `neuron_scale`: a ← a + s·((scale − 1)⊙a + shift) at a site's neurons. AurA, Damp, Det-zero, DPO neuron edits, AcT. */
import { maximum, minimum, numberText } from "../describe-values.ts";
import type { Positions } from "../positions.ts";
import { type NeuronScaleStage, type NeuronSite, type NeuronValues, neuronSites } from "../stage.ts";
import { checkAtSites, type SiteStageKind } from "./stage-kind.ts";

/** All layers, or those listed. */
export type Layers = "all" | readonly number[];

/** A `neuron_scale` stage in a manifest. */
export interface NeuronScaleManifest {
  /** Unique in the bundle; tensors are named `ID.LAYER.NAME`. */
  readonly id: string;
  /** Tells the kinds of stages apart. */
  readonly kind: "neuron_scale";
  /** Where it acts. */
  readonly site: NeuronSite;
  /** Layers it acts in. */
  readonly layers?: Layers;
  /** Tokens it acts on; default: all. */
  readonly positions?: Positions;
  /** s; default 1. */
  readonly strength?: number;
}

const tensors = { scale: { shape: "row", optional: true }, shift: { shape: "row", optional: true } } as const;

type Own = Pick<NeuronScaleStage, "kind">;

export const neuronScale: SiteStageKind<NeuronScaleStage, NeuronScaleManifest, Own, NeuronValues> = {
  sites: neuronSites,
  check: (manifest) => checkAtSites(manifest, "neuron_scale", neuronSites),
  tensorNames: Object.keys(tensors),
  tensors: () => tensors,
  own: ({ kind }) => ({ kind }),
  fields: () => ({}),
  hasAlpha: () => false,
  name: ({ kind }) => kind,
  says: () => "scales neurons",
  settings: () => "",
  describe(_, { scale, shift }) {
    const parts: string[] = [];
    if (scale) {
      const scaled = scale.filter((value) => value !== 1);
      const range = scaled.length > 0 ? ` by ${numberText(minimum(scaled))} to ${numberText(maximum(scaled))}` : "";
      parts.push(`${scaled.length} of ${scale.length} neurons scaled${range}`);
    }
    if (shift) {
      const shifted = shift.filter((value) => value !== 0);
      parts.push(`${shifted.length} of ${shift.length} shifted by up to ${numberText(maximum(shifted.map(Math.abs)))}`);
    }
    return parts.join(", ");
  },
  lowering: { form: "elements", lower: (_, values) => values },
};
