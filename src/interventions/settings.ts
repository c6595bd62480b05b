/** What of a composition can change while it runs: data, never structure. */
import type { ModelConfig } from "../model-config.ts";
import type { Positions } from "./positions.ts";
import { type Composition, edgeMaskIn, isAtSite, type Stage, type StageValues } from "./stage.ts";
import { type StageScale, scaleOf, unscaled } from "./stage-scale.ts";

/** One sequence's settings; a batch has one for each. Arrays are indexed by stage. */
export interface SequenceSettings {
  readonly strengths: number[];
  readonly alphas: number[];
  /** An edge mask's are "all". */
  readonly positions: Positions[];
  /** P: which positions count as the prompt's. */
  promptLength: number;
  /** m of each edge of the structure, in its order. */
  readonly edges: Float64Array;
}

/** Where a stage's positions lie in the scope buffer (compile/scope-buffer.ts). */
export interface ScopePlace {
  /** The first vec4 of its instructions. */
  readonly at: number;
  /** How many there are; undefined: the stage acts everywhere, and nothing needs to be evaluated. */
  readonly count: number | undefined;
}

/** The live state of a composition in a session. */
export interface LiveSettings {
  readonly sequences: readonly SequenceSettings[];
  /** By sequence and stage; made of the sequences' positions and prompt lengths. */
  scopes: readonly (readonly ScopePlace[])[];
  /** Tensors by stage and layer, shared by all sequences. */
  readonly tensors: readonly Map<number, StageValues>[];
  /** By stage; made of its tensors. */
  readonly scales: StageScale[];
  readonly constants: Float32Array | undefined;
}

/** What acts on a sequence. Lists are by stage. */
export interface ActingStages {
  readonly stages: readonly Stage[];
  readonly strengths: readonly number[];
  readonly alphas: readonly number[];
  readonly positions: readonly Positions[];
  readonly tensors: readonly ReadonlyMap<number, StageValues>[];
  readonly scales: readonly StageScale[];
  readonly config: Pick<ModelConfig, "hidden_size" | "norm">;
}

/** @param width of the stream */
export function initialSettings({ stages }: Composition, sequences: number, width: number): LiveSettings {
  const mask = edgeMaskIn(stages);
  return {
    sequences: Array.from({ length: sequences }, () => ({
      strengths: stages.map(({ strength }) => strength),
      alphas: stages.map((stage) => ("alpha" in stage ? stage.alpha : 1)),
      positions: stages.map((stage) => (isAtSite(stage) ? stage.positions : "all")),
      promptLength: 0,
      edges: Float64Array.from(mask?.edges ?? [], ({ value }) => value),
    })),
    scopes: [],
    tensors: stages.map((stage) => new Map<number, StageValues>(isAtSite(stage) ? stage.values : [])),
    scales: stages.map((stage) => (isAtSite(stage) ? scaleOf(stage, stage.values, width) : unscaled)),
    constants: mask?.constants,
  };
}
