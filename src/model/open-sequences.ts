/** The sequences of a session: what runs them, and the stages that act on them. */
import type { FusedOp } from "../compile/fused.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import type { Graph } from "../graph/graph.ts";
import type { Composition } from "../interventions/stage.ts";
import { LiveStages } from "../runtime/live-stages.ts";
import { Sequences } from "../runtime/sequences.ts";
import type { ModelParts } from "./model-parts.ts";
import { openExecutor } from "./open-executor.ts";
import type { SessionOptions } from "./options.ts";

/** A model with stages written into its graph. */
export interface Edited {
  readonly composition: Composition;
  readonly graph: Graph;
  readonly ops: readonly FusedOp[];
}

/**
 * Makes the buffers; kernels compile when a step first needs them. The caller disposes of the result.
 * @throws SluiceError as `openExecutor`
 */
export async function openSequences(
  parts: ModelParts,
  pipelines: PipelineCache,
  edited: Edited | undefined,
  options: SessionOptions,
): Promise<Sequences> {
  const { config, gpu, onProgress } = parts;
  const executor = await openExecutor(parts, pipelines, edited, options);
  const { stages: planned, sequences } = executor.plan;
  const stages =
    edited &&
    new LiveStages(edited.composition, config, planned?.image, sequences, {
      writeTable: (offset, words) => executor.write({ role: "stages" }, offset, words),
      writeScopes: (words) => executor.writeScopes(words),
      mostScopeBytes: gpu.profile.limits.maxStorageBufferBindingSize / 2,
    });
  return new Sequences(executor, config.vocab_size, stages, onProgress);
}
