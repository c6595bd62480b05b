/** Texts have no prompt: what becomes of stages that act only on a prompt, or only after one. */
import { dependsOnPrompt } from "../interventions/positions.ts";
import { isAtSite, type Stage } from "../interventions/stage.ts";
import type { Model } from "../model/model.ts";

/** Whether where a stage acts depends on a prompt's length. */
export function hasPromptScope(stage: Stage): boolean {
  return isAtSite(stage) && dependsOnPrompt(stage.positions);
}

/**
 * The model with such stages at every token. A bundle for generated tokens alone would leave most of a text unchanged, so its
 * cost is measured at all tokens.
 */
export function withoutPromptScopes(model: Model): Model {
  if (!model.stages.some(hasPromptScope)) return model;
  const stages = model.stages.map((stage): Stage => {
    return hasPromptScope(stage) ? ({ ...stage, positions: "all" } as Stage) : stage;
  });
  return model.withStages({ stages, warnings: [] });
}

/** Sequences in pairs, 2i with every stage turned off and 2i + 1 with the interventions; the caller disposes of them. */
export async function openPairs(model: Model, pairs: number, context: number, signal: AbortSignal | undefined) {
  const sequences = await model.openSequences({ sequences: 2 * pairs, context, signal });
  for (const { id } of model.stages) {
    for (let i = 0; i < pairs; i++) sequences.stages?.set(id, { strength: 0 }, 2 * i);
  }
  return sequences;
}
