/** What a foreign format is to the exporter: which stages have a form in it, and how they are written. */
import type { Manifest } from "../manifest.ts";
import { isEverywhere } from "../positions.ts";
import type { ModelShape } from "../sites.ts";
import type { AffineStage, NeuronScaleStage, Stage } from "../stage.ts";

/** Formats that bundles can be written in. */
export const exportNames: readonly ExportName[] = [
  "gguf",
  "npz",
  "pyreft",
  "eap-json",
  "edge-pruning",
  "csv",
  "hf-hooks",
];

/** A format that bundles can be written in. */
export type ExportName = "gguf" | "npz" | "pyreft" | "eap-json" | "edge-pruning" | "csv" | "hf-hooks";

/** What is written: stages that have a form in the format, and what is known of the model. */
export interface Exported {
  readonly stages: readonly Stage[];
  readonly config: ModelShape;
  readonly manifest: Manifest;
  /** Of the files, without an ending. */
  readonly name: string;
  /** Reports what the files do not say, or say in another way. */
  readonly warn: (text: string) => void;
}

export interface ExportFormat {
  /** Whether strengths can be set where the file is used, so that stages that are off belong in it too. */
  readonly isLive?: true;
  /**
   * Why a stage has no form in the format; null if it has one. Follows "stage ID".
   * @param stages all that are to be written
   */
  obstacle(stage: Stage, config: ModelShape, stages: readonly Stage[]): string | null;
  /** Files by name. */
  write(exported: Exported): ReadonlyMap<string, Uint8Array>;
}

export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** What a stage is, for people: `is a directional_ablation`. */
export function kindName(stage: Stage): string {
  return stage.kind === "affine" ? stage.method : stage.kind;
}

/** Why a stage that acts on some positions alone has no form; null for one that acts everywhere. */
export function positionsObstacle({ positions }: AffineStage | NeuronScaleStage): string | null {
  return isEverywhere(positions) ? null : "acts at some positions alone, and the format has no positions";
}

/** A stage's direction at a layer, times its strength and alpha. */
export function scaledDirection({ strength, alpha, values }: AffineStage, layer: number): Float64Array {
  return Float64Array.from(values.get(layer)?.direction ?? [], (value) => value * strength * alpha);
}

/** Says that strength and alpha are in the vectors, unless that changes nothing. */
export function warnOfScale({ id, strength, alpha }: AffineStage, warn: Exported["warn"]): void {
  if (strength * alpha === 1) return;
  warn(`stage "${id}": its strength ${strength} and alpha ${alpha} are multiplied into its directions`);
}
