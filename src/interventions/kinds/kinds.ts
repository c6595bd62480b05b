/** The kinds of stages. A new one at sites is a record of its own, one line here and one in the union of `stage.ts`. */
import type { SiteStage, Stage, StageValues } from "../stage.ts";
import { type AffineManifest, affine } from "./affine.ts";
import { type EdgeMaskManifest, edgeMask } from "./edge-mask.ts";
import { type NeuronScaleManifest, neuronScale } from "./neuron-scale.ts";
import type { SiteStageKind } from "./stage-kind.ts";

/** A stage, as a manifest has it. */
export type StageManifest = NeuronScaleManifest | AffineManifest | EdgeMaskManifest;
/** The manifest of a stage at sites. */
export type SiteManifest = Exclude<StageManifest, EdgeMaskManifest>;

/** Kinds that act at sites, by name. */
export const stageKinds = { neuron_scale: neuronScale, affine } as const;

export type SiteStageName = keyof typeof stageKinds;

export const siteStageNames = Object.keys(stageKinds) as readonly SiteStageName[];
/** All kinds, in the order in which errors list them. */
export const allKinds = { ...stageKinds, edge_mask: edgeMask } as const;
export const stageKindNames = Object.keys(allKinds) as readonly (keyof typeof allKinds)[];

/** Names of all tensors that stages at sites can have per layer. */
export const tensorNames = siteStageNames.flatMap((name) => stageKinds[name].tensorNames);

/** Some kind, for the stages whose name picked it. */
type AnyKind = SiteStageKind<SiteStage, SiteManifest, { readonly kind: SiteStageName }, StageValues>;

/** The record of a stage at sites. */
export function kindOf({ kind }: { readonly kind: SiteStageName }): AnyKind {
  return stageKinds[kind] as unknown as AnyKind;
}

/** Whether a stage has an alpha that acts. */
export function hasAlpha(stage: Stage): boolean {
  return stage.kind !== "edge_mask" && kindOf(stage).hasAlpha(stage);
}

/** Its kind or method, for people. */
export function stageName(stage: Stage): string {
  return stage.kind === "edge_mask" ? stage.kind : kindOf(stage).name(stage);
}
