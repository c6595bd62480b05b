/** The executor of a session: its plans, its buffers, and the pipelines that it shares with its model. */

import { ropeTable } from "../architectures/rope.ts";
import type { ProgramBounds } from "../compile/programs.ts";
import { throwIfAborted } from "../errors.ts";
import type { PipelineCache } from "../execution/pipelines.ts";
import type { Composition } from "../interventions/stage.ts";
import { Executor } from "../runtime/executor.ts";
import type { ModelParts } from "./model-parts.ts";
import type { SessionOptions } from "./options.ts";
import { planSession } from "./plan-session.ts";

/**
 * @param edited the model with stages, if there are any; then both the plain and the edited plan are made
 * @throws SluiceError as `planSession`; `aborted`, `device_lost`, `device_limit`
 */
export async function openExecutor(
  parts: ModelParts,
  pipelines: PipelineCache,
  edited:
    | (Pick<ModelParts, "graph" | "ops"> & { readonly composition: Composition; readonly programs?: ProgramBounds })
    | undefined,
  options: SessionOptions,
): Promise<Executor> {
  const { gpu, weights, onProgress } = parts;
  throwIfAborted(options.signal);
  gpu.checkAlive();
  const composition = edited?.composition;
  const plan = planSession(parts, edited ?? parts, composition, options);
  // The edited plan lays out steps and captures, and the plain one must agree with it.
  const plain = plan.stages && planSession(parts, parts, composition, options, plan.chunkRows);
  const { rope, head_dim } = parts.config;
  const executor = new Executor({
    gpu,
    pipelines,
    weights,
    plan,
    ...(plain && { plain, live: options.live ?? false }),
    ...(rope && { rope: ropeTable(rope, head_dim, plan.capacity) }),
    onCompile: (done, total) => onProgress({ phase: "compile", done, total }),
  });
  try {
    await gpu.checkAllocations();
  } catch (error) {
    executor.dispose();
    throw error;
  }
  return executor;
}
