/** Control vectors in GGUF, with the choices that the format leaves open. */
import { toFloat32 } from "../../formats/safetensors.ts";
import { directionsOf, warnOfOthers } from "../import-gguf.ts";
import type { ForeignKind } from "./foreign-kind.ts";
import { unfit } from "./foreign-kind.ts";
import { VECTOR_CHOICES, vectorStages } from "./vectors.ts";

export const controlVector: ForeignKind = {
  name: "control vector (GGUF)",
  takes: VECTOR_CHOICES,
  matches: ({ files }) => files.length === 1 && files[0]?.form === "gguf",
  read(given) {
    const [file] = given.files;
    const { metadata, tensors } = (file as NonNullable<typeof file>).gguf();
    const directions = directionsOf({ metadata, tensors }, given.name);
    warnOfOthers(metadata, [...directions.keys()], given.name, given.config, given.warn);
    const vectors = new Map(
      [...directions].map(([layer, tensor]) => {
        const { hidden_size: width } = given.config;
        const values = Float64Array.from(toFloat32(tensor));
        if (values.length === width) return [layer, values] as const;
        const problem = `has ${values.length} values, but the model's stream is ${width} wide`;
        throw unfit(given, `direction.${layer}`, problem, "It was made for another model.");
      }),
    );
    const fit = { model_hint: metadata.get("controlvector.model_hint") ?? null };
    return { ...vectorStages(given, { id: "control", vectors, site: "resid_post" }), fit };
  },
};
