/** The plan of a session: a model's operations, lowered for the session's sequences and positions. */

import { lower } from "../compile/lower.ts";
import type { Plan } from "../compile/plan.ts";
import type { ProgramBounds } from "../compile/programs.ts";
import type { Composition } from "../interventions/stage.ts";
import type { ModelParts } from "./model-parts.ts";
import type { SessionOptions } from "./options.ts";
import { checkContext, DEFAULT_CONTEXT } from "./session-options.ts";

/**
 * @param work the operations: those of the plain graph, or of the one with stages; `programs`: each sequence has its own
 * @param composition whose stages act; absent for a model without interventions
 * @param chunkRows rows of a step, if another plan has decided them; default: as many as the device allows
 * @throws SluiceError `usage`, `context_overflow`, `device_limit`
 */
export function planSession(
  parts: ModelParts,
  { graph, ops, programs }: Pick<ModelParts, "graph" | "ops"> & { readonly programs?: ProgramBounds },
  composition: Composition | undefined,
  { sequences = 1, context, ...session }: SessionOptions,
  chunkRows?: number,
): Plan {
  const { config, layout, family, reference, cache, tuning, gpu } = parts;
  return lower(graph, ops, layout, {
    ...session,
    ...(composition && { composition }),
    ...(programs && { programs }),
    family,
    reference,
    cache,
    choices: tuning.choices,
    sequences,
    capacity: checkContext(context ?? Math.min(DEFAULT_CONTEXT, config.max_position_embeddings), config),
    ...(chunkRows !== undefined && { chunkRows }),
    maxStorageBufferBindingSize: gpu.profile.limits.maxStorageBufferBindingSize,
    subgroups: gpu.profile.features.subgroups !== null,
  });
}
