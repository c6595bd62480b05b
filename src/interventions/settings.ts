/** What of a composition can change while it runs: data, never structure. */
import type { Positions } from "./positions.ts";
import type { AffineValues, Composition, EdgeMaskStage, NeuronValues } from "./stage.ts";

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
  readonly tensors: readonly Map<number, NeuronValues | AffineValues>[];
  readonly constants: Float32Array | undefined;
}

export function initialSettings({ stages }: Composition, sequences: number): LiveSettings {
  const mask = stages.find((stage): stage is EdgeMaskStage => stage.kind === "edge_mask");
  return {
    sequences: Array.from({ length: sequences }, () => ({
      strengths: stages.map(({ strength }) => strength),
      alphas: stages.map((stage) => (stage.kind === "affine" ? stage.alpha : 1)),
      positions: stages.map((stage) => (stage.kind === "edge_mask" ? "all" : stage.positions)),
      promptLength: 0,
      edges: Float64Array.from(mask?.edges ?? [], ({ value }) => value),
    })),
    scopes: [],
    tensors: stages.map(
      (stage) => new Map<number, NeuronValues | AffineValues>(stage.kind === "edge_mask" ? [] : stage.values),
    ),
    constants: mask?.constants,
  };
}
