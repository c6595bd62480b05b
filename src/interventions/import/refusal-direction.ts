/** Directions of refusal_direction (Arditi and others, arXiv 2406.11717): direction.pt and direction_metadata.json. */
import { type StoredTensor, storeFloat32 } from "../../formats/safetensors.ts";
import { arrayIn } from "../../formats/torch/globals.ts";
import { layerTensorName } from "../tensor-names.ts";
import { type ForeignKind, type Given, type Imported, unfit } from "./foreign-kind.ts";
import { placed, rowOf, unitOf, VECTOR_CHOICES, vectorStages } from "./vectors.ts";

const DIRECTION = /(?:^|[-_.])direction\.pt$/;
const METADATA = /(?:^|[-_.])direction_metadata\.json$/;

/** Where the study takes the direction away: everywhere that the stream is read from or written to. */
const EVERYWHERE = ["resid_pre", "attn_out", "mlp_out"] as const;

export const refusalDirection: ForeignKind = {
  name: "refusal_direction",
  takes: VECTOR_CHOICES,
  matches: ({ files }) => files.some(({ base, form }) => form === "torch" && DIRECTION.test(base)),
  read(given) {
    const file = given.files.find(({ base, form }) => form === "torch" && DIRECTION.test(base));
    const array = arrayIn(file?.value);
    if (!array) throw unfit(given, file?.base ?? "direction.pt", "holds no tensor");
    const direction = rowOf(given, array, file?.base ?? "direction.pt");
    const { as, layers, site } = given.choices;
    const metadata = layerNamed(given);
    const fit = { layer: metadata ?? null };
    const isEverywhere = (as ?? "ablation") === "ablation" && layers === undefined && site === undefined;
    if (isEverywhere) return { ...everywhere(given, direction), fit };
    const vectors = placed(given, direction, layers === undefined ? metadata : undefined);
    return { ...vectorStages(given, { id: "refusal", vectors, site: "resid_pre", method: "ablation" }), fit };
  },
};

function layerNamed(given: Given): number | undefined {
  const metadata = given.files.find(({ base }) => METADATA.test(base))?.json;
  const layer = (metadata as { readonly layer?: unknown } | undefined)?.layer;
  if (layer === undefined) return undefined;
  if (typeof layer !== "number") throw unfit(given, "direction_metadata.json: layer", "is not a number");
  return layer;
}

function everywhere(given: Given, direction: Float64Array): Imported {
  const unit = Float32Array.from(unitOf(given, direction));
  const tensors = new Map<string, StoredTensor>();
  const stages = EVERYWHERE.map((site) => {
    const id = `refusal_${site}`;
    for (let layer = 0; layer < given.config.num_hidden_layers; layer++) {
      tensors.set(layerTensorName(id, layer, "direction"), storeFloat32(unit, [unit.length]));
    }
    return { id, kind: "affine", method: "directional_ablation", site, layers: "all" } as const;
  });
  return { stages, tensors };
}
