/** What of a composition can change while it runs: data, never structure. */
import type { AffineValues, Composition, EdgeMaskStage, NeuronValues, Positions } from "./stage.ts";

/** One sequence's settings; a batch has one for each. Arrays are indexed by stage. */
export interface SequenceSettings {
  readonly strengths: number[];
  readonly alphas: number[];
  /** P: which positions count as the prompt's. */
  promptLength: number;
  /** m of each edge of the structure, in its order. */
  readonly edges: Float64Array;
}

/** The live state of a composition in a session. */
export interface LiveSettings {
  readonly sequences: readonly SequenceSettings[];
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
      promptLength: 0,
      edges: Float64Array.from(mask?.edges ?? [], ({ value }) => value),
    })),
    tensors: stages.map(
      (stage) => new Map<number, NeuronValues | AffineValues>(stage.kind === "edge_mask" ? [] : stage.values),
    ),
    constants: mask?.constants,
  };
}

/** No position is as large: ranges without an end go up to here. */
const NO_END = 0xffffffff;

/** The absolute positions [from, to) of a scope, for a prompt of P tokens. */
export function rangeOf(positions: Positions, promptLength: number): readonly [from: number, to: number] {
  switch (positions) {
    case "all":
      return [0, NO_END];
    case "prompt":
      return [0, promptLength];
    case "generated":
      return [promptLength, NO_END];
    case "last_prompt_onward":
      return [Math.max(0, promptLength - 1), NO_END];
    default:
      return [positions.from, positions.to ?? NO_END];
  }
}
