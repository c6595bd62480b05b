/** Loss and gradient of an edge mask, for a loaded model; Circuit Breaking and edge attribution patching start from these. */
import { entry, options } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { listOf, type TokenIds, tokens } from "../arguments/lists.ts";
import {
  type AttributionOptions,
  type AttributionParts,
  attributionFields,
  checkAttributable,
  EdgeAttribution,
  type EdgeGradient,
  type MaskValues,
  maskFields,
} from "../attribution/attribute-edges.ts";
import { SluiceError } from "../errors.ts";
import { Pacer } from "../execution/pacer.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";

export const attributeEdgesDoor = entry(
  "attributeEdges",
  ["model", anyModel],
  ["tokens", tokens],
  options(fields<AttributionOptions & MaskValues>()({ ...attributionFields, ...maskFields })),
);

export const openAttributionDoor = entry(
  "openAttribution",
  ["model", anyModel],
  ["texts", listOf(tokens, { least: 1 })],
  options(fields<AttributionOptions>()(attributionFields)),
);

/**
 * The mean next-token cross-entropy of `tokens`, in nats, and its gradient with respect to every edge of a mask.
 * @param options the mask's values, `[n_dst, n_src]`, all 1 by default; replacements of cut sources; and how to run
 * @throws SluiceError `usage` for a mask that does not fit, or a model with stages, which are not differentiated;
 *   `bad_tokens`, `context_overflow`, `device_limit`, `aborted`
 */
export async function attributeEdges(
  model: Model,
  tokens: TokenIds,
  options: AttributionOptions & MaskValues = {},
): Promise<EdgeGradient> {
  const [, ids, { mask, constants, replace, ...wanted }] = attributeEdgesDoor.read(model, tokens, options);
  const attribution = await openAttribution(model, [model.encode(ids)], wanted);
  try {
    const { signal, onProgress } = wanted;
    return await attribution.run({ mask, constants, replace }, { signal, ...(onProgress && { onProgress }) });
  } finally {
    attribution.dispose();
  }
}

/**
 * Prepares texts for many masks in turn, each as in {@link attributeEdges}. The caller disposes of the result.
 * @param texts token ids; each is its own sequence
 * @throws SluiceError as {@link attributeEdges}
 */
export async function openAttribution(
  model: Model,
  texts: readonly TokenIds[],
  options: AttributionOptions = {},
): Promise<EdgeAttribution> {
  const [, given, wanted] = openAttributionDoor.read(model, texts, options);
  return EdgeAttribution.open(partsOf(model), given, wanted);
}

/**
 * Refuses what `openAttribution` would refuse, as far as that can be told without the device. @internal
 * @throws SluiceError as {@link attributeEdges}
 */
export function checkAttribution(
  model: Model,
  texts: readonly (readonly number[])[],
  options: Pick<AttributionOptions, "destinations">,
): void {
  checkAttributable(partsOf(model), texts, options);
}

/** @throws SluiceError `usage` for a model with stages */
function partsOf(model: Model): AttributionParts {
  const [stage] = model.stages;
  if (stage) {
    throw new SluiceError("usage", `Edges cannot be attributed through stage "${stage.id}" (${stage.kind})`, {
      hint: "Attribute the edges of the model without interventions; pass a mask to start from as an option.",
    });
  }
  const { internals } = model;
  return { ...internals, pace: new Pacer(internals.family) };
}
